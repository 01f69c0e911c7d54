/** An event source over one queue of a scripted broker, for what real ones do not do on request. */
import type { TestContext } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import {
  type EventSourceResult,
  eventSource,
  type RecordHandler,
  type RocketMQRecord,
} from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import type { Frame } from '../../src/wire/index.ts'
import { type FakeCluster, fakeCluster, type Handlers } from './fake-cluster.ts'
import { storedMessage } from './stored-message.ts'

/** What a scripted broker holds of one queue. */
export interface Log {
  messages: Buffer[]
  committed: bigint | undefined
  /** Every commit it was sent, in order. */
  commits: bigint[]
}

export const filled = (count: number, committed?: bigint): Log => ({
  messages: Array.from({ length: count }, (_, index) =>
    storedMessage({ queueOffset: BigInt(index), body: `${index}` }),
  ),
  committed,
  commits: [],
})

/** Its checksum is wrong. */
export function undecodable(offset: number): Buffer {
  const broken = storedMessage({ queueOffset: BigInt(offset), body: `${offset}` })
  broken[broken.length - 20] = (broken[broken.length - 20] ?? 0) ^ 0xff
  broken.writeInt32BE(7, 8)
  return broken
}

/** Handlers of a broker with one queue of `orders`; `change` replaces some of them. */
export function holding(log: Log, change: Handlers = {}): Handlers {
  return {
    [RequestCode.QUERY_CONSUMER_OFFSET]: () =>
      log.committed === undefined ? { code: 22 } : { ext: { offset: String(log.committed) } },
    [RequestCode.UPDATE_CONSUMER_OFFSET]: (frame) => {
      log.committed = BigInt(frame.ext['commitOffset'] ?? '')
      log.commits.push(log.committed)
      return {}
    },
    [RequestCode.LOCK_BATCH_MQ]: (frame) => ({ body: granted(frame) }),
    [RequestCode.UNLOCK_BATCH_MQ]: () => ({}),
    [RequestCode.GET_MIN_OFFSET]: () => ({ ext: { offset: '0' } }),
    [RequestCode.GET_MAX_OFFSET]: () => ({ ext: { offset: String(log.messages.length) } }),
    [RequestCode.PULL_MESSAGE]: (frame) => {
      const from = Number(frame.ext['queueOffset'])
      const found = log.messages.slice(from, from + 32)
      const ext = pullHeader(from + found.length, log.messages.length)
      return found.length > 0 ? { ext, body: Buffer.concat(found) } : { code: 19, ext }
    },
    ...change,
  }
}

/** Every lease that is asked for. */
function granted(frame: Frame): Buffer {
  const { mqSet } = JSON.parse(frame.body.toString()) as { mqSet: object[] }
  return Buffer.from(JSON.stringify({ lockOKMQSet: mqSet }))
}

export const pullHeader = (next: number, max: number): Record<string, string> => ({
  suggestWhichBrokerId: '0',
  nextBeginOffset: String(next),
  minOffset: '0',
  maxOffset: String(max),
})

export async function scripted(t: TestContext, handlers: Handlers): Promise<FakeCluster> {
  const topics = { orders: { readQueueNums: 1, writeQueueNums: 1 } }
  return await fakeCluster(t, { brokers: { 'broker-a': handlers }, topics })
}

export async function run(
  cluster: FakeCluster,
  handle: RecordHandler,
  options: object = {},
  remainingMs = 5_000,
): Promise<EventSourceResult> {
  const handler = eventSource(
    { topic: 'orders', consumerGroup: 'billing', client: cluster.client(), ...options },
    handle,
  )
  return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
}

export const flat = (event: { records: Record<string, RocketMQRecord[]> }): RocketMQRecord[] =>
  Object.values(event.records).flat()
