/** An event source against the local broker: one topic with one queue, a client, and what became of it. */
import { SendMessageV2 } from '../../src/commands/index.ts'
import {
  type Client,
  createClient,
  createProducer,
  type MessageQueue,
  type Producer,
} from '../../src/index.ts'
import { type EventSourceResult, eventSource, type RecordHandler } from '../../src/lambda/index.ts'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'

export interface Consuming extends AsyncDisposable {
  broker: LocalBroker
  client: Client
  producer: Producer
  publish(...bodies: (string | Uint8Array)[]): Promise<void>
  /** Runs an invocation. */
  run(handle: RecordHandler, options?: object, remainingMs?: number): Promise<EventSourceResult>
  /** With a handler that is made for another format, or for none. */
  run(handle: unknown, options?: object, remainingMs?: number): Promise<EventSourceResult>
  /** The bodies of the messages of a topic. */
  stored(topic: string): string[]
  /** Of queue 0 on the first broker. */
  committed(group?: string): bigint | undefined
}

export async function consuming(options: { brokers?: number } = {}): Promise<Consuming> {
  const broker = await startBroker({ ...options, topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  return {
    broker,
    client,
    producer,
    async publish(...bodies) {
      for (const body of bodies) await producer.send({ topic: 'orders', body })
    },
    async run(handle: unknown, source: object = {}, remainingMs = 5_000) {
      const handler = eventSource(
        { topic: 'orders', consumerGroup: 'billing', client, ...source },
        handle as RecordHandler,
      )
      return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
    },
    stored: (topic) => broker.messages(topic).map(({ body }) => body.toString()),
    committed: (group = 'billing') =>
      broker.committedOffset(group, { topic: 'orders', brokerName: 'broker-a', queueId: 0 }),
    async [Symbol.asyncDispose]() {
      await client.close()
      await broker.close()
    },
  }
}

const QUEUE: MessageQueue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

/** A message that says it is compressed, and is not. @param more properties, encoded */
export async function sendUndecodable(
  client: Client,
  queue: MessageQueue = QUEUE,
  more?: string,
): Promise<void> {
  await sendCompressed(client, Buffer.from('not zlib'), queue, more)
}

/** A message whose body is compressed already, as it says. */
export async function sendCompressed(
  client: Client,
  body: Buffer,
  queue: MessageQueue = QUEUE,
  more = '',
): Promise<void> {
  const { topic, queueId } = queue
  const request = {
    producerGroup: 'shop',
    topic,
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 4,
    queueId,
    sysFlag: 1,
    bornTimestamp: BigInt(Date.now()),
    flag: 0,
    properties: `UNIQ_KEY\u0001COMPRESSED\u0002${more}`,
    reconsumeTimes: 0,
    unitMode: false,
    batch: false,
  }
  await client.callQueue(queue, SendMessageV2, request as never, body as never, {
    deadline: client.deadline(),
  })
}
