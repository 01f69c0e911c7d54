/**
 * What a measured program is asked to do, and what it answers: the one contract of our client, the limit and the peers,
 * whatever language they are written in. The job is the program's last argument, as JSON; the answer is the last line that
 * it prints, as JSON too.
 */
export interface Job {
  /**
   * - `send`: single messages, `inFlight` of them unanswered at any time.
   * - `batch`: batches of `batchSize`, `inFlight` of them unanswered at any time.
   * - `pull`: all queues of the topic at once, each from offset 0 on, 32 messages a pull, everything decoded.
   * - `drain`: as `pull`, by the event source, which hands out batches of `batchSize`; the limit only pulls.
   */
  work: 'send' | 'batch' | 'pull' | 'drain'
  /** `host:port` */
  nameServers: string
  /** `host:port` of the only broker. */
  broker: string
  brokerName: string
  topic: string
  queues: number
  /** Producer or consumer group. */
  group: string
  bodyBytes: number
  inFlight: number
  batchSize: number
  /** Messages before the clock starts, in the same way. */
  warmup: number
  /** Messages that are measured. */
  messages: number
  /** Path of the PEM file that verifies the broker; TLS when it is set. */
  tlsCa?: string
  accessKey?: string
  secretKey?: string
  /** Bodies are compressed (zlib). */
  compression?: boolean
}

export interface Outcome {
  /** Wall-clock time of the measured part. */
  seconds: number
  /** User and system time of the whole process in that part. */
  cpuSeconds: number
  /** VmHWM: the most memory that the process had until then. */
  peakRssBytes: number
  messages: number
  /** Of a pull that decodes: the sum over its messages of {@link checksumParts}, modulo 2^32. */
  checksum?: number
  /** Versions, such as `ali-ons 3.12.0, node v24.21.0`. */
  program: string
}
