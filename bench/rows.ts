/** What is measured while a program runs at full speed: the rows of the first two tables. */
import type { Job } from './job.ts'

export interface Row {
  name: string
  job: Pick<Job, 'work'> & Partial<Job>
  /** Least share of the limit's rate, most CPU time as a multiple of the limit's, and most memory. */
  goal?: { ratio: number; cpu?: number; megabytes?: number }
  /** Only our client and the limit, which does not know the feature, and so has the plain figures. */
  feature?: 'tls' | 'acl' | 'compression'
  /** So many times as much passes before the clock starts; a quarter, where nothing is said. */
  warmUp?: number
}

export const WARM_UP = 0.25

/** What the topic `full` has: each of its queues the same. */
export const FULL = 112_000

export const rows: readonly Row[] = [
  {
    name: 'send, 1 in flight',
    job: { work: 'send', inFlight: 1, messages: 12_000 },
    goal: { ratio: 0.85, cpu: 2 },
  },
  {
    name: 'send, 64 in flight',
    job: { work: 'send', inFlight: 64, messages: 80_000 },
    goal: { ratio: 0.8, cpu: 2.5 },
  },
  {
    name: 'batches of 32, 8 in flight',
    job: { work: 'batch', inFlight: 8, messages: 192_000 },
    goal: { ratio: 0.75 },
  },
  {
    name: 'pull and fully decode 100,000 messages',
    job: { work: 'pull', messages: 100_000 },
    goal: { ratio: 0.5, cpu: 3.5 },
  },
]

const send64: Row['job'] = { work: 'send', inFlight: 64, messages: 40_000 }

const drain: Row = {
  name: 'drain 112,000 messages, batchSize 1,000, a handler that does nothing',
  job: { work: 'drain', messages: FULL, topic: 'full', batchSize: 1_000 },
  goal: { ratio: 0.45, megabytes: 192 },
}

/** The limit only pulls. A warm environment has drained before; a new one runs half of it for the first time. */
export const drainRows: readonly Row[] = [
  { ...drain, name: `${drain.name}, in a warm environment`, warmUp: 2 },
  { ...drain, name: `${drain.name}, in a new environment`, warmUp: 0 },
  {
    name: 'drain one queue of it, in a warm environment',
    job: { ...drain.job, queues: 1, messages: FULL / 8 },
    warmUp: 8,
  },
]

/** Without a goal: that nothing falls off a cliff. */
export const otherRows: readonly Row[] = [
  { name: '100 B, 64 in flight', job: { ...send64, bodyBytes: 100 } },
  { name: '64 KiB, 8 in flight', job: { ...send64, bodyBytes: 65_536, inFlight: 8, messages: 8_000 } },
  { name: '1 KiB over TLS, 64 in flight', job: send64, feature: 'tls' },
  { name: '1 KiB signed (ACL), 64 in flight', job: send64, feature: 'acl' },
  {
    name: '16 KiB, compressed, 8 in flight',
    job: { ...send64, bodyBytes: 16_384, inFlight: 8, messages: 8_000 },
    feature: 'compression',
  },
]

/** How cost grows. */
export const inFlightSteps: readonly number[] = [1, 8, 64, 512]
export const queueSteps: readonly number[] = [1, 8, 64]
export const topicSteps: readonly number[] = [1_000, 10_000, 100_000]
