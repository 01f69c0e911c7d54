/** What topics hold and where groups stand, asked of the brokers, and whether the machine has time for all of it. */
import { setTimeout as wait } from 'node:timers/promises'
import { GetMaxOffset, QueryConsumerOffset } from '../../src/commands/index.ts'
import { type Client, createPullConsumer, type MessageQueue, type PullConsumer } from '../../src/index.ts'
import { retryTopic } from '../../src/wire/names.ts'
import type { ChaosCluster } from './cluster.ts'
import { GROUPS, ORDERS, PAYMENTS, QUEUES } from './functions.ts'
import type { Happening, History } from './history.ts'

type Of<Kind extends Happening['kind']> = Extract<Happening, { kind: Kind }>

const SAMPLE_MS = 2_000
/** Patience with who is to say what it holds, and between two questions. */
const ANSWER_MS = 60_000
const PAUSE_MS = 1_000
const TICK_MS = 100
/** A timer that is later than this tells of a machine that has no time; with enough of it they are 1 ms late, and 20 at a collection. */
const STALL_MS = 200

export async function noteHeld(client: Client, history: History): Promise<void> {
  const consumer = createPullConsumer(client, { consumerGroup: 'chaos-judge' })
  for (const topic of [ORDERS, PAYMENTS])
    for (const queue of await untilAnswered(() => consumer.queues(topic))) {
      // Not by pulls, so that what they leave out is found.
      const [from, to] = await untilAnswered(() =>
        Promise.all([consumer.minOffset(queue), consumer.maxOffset(queue)]),
      )
      if (from === undefined || to === undefined) continue
      history.add({ kind: 'content', queue: nameOf(queue), from: Number(from), to: Number(to) })
      for (const held of await untilAnswered(() => contentOfQueue(consumer, queue)))
        history.add({ kind: 'held', ...held })
    }
}

/** Nothing is broken any longer; who fails once more is asked again, and what is missing then is a matter of the judge. */
async function untilAnswered<T>(ask: () => Promise<T[]>): Promise<T[]> {
  for (const limit = Date.now() + ANSWER_MS; ; ) {
    const answer = await ask().catch(() => undefined)
    if (answer) return answer
    if (Date.now() > limit) return []
    await wait(PAUSE_MS)
  }
}

export interface Held {
  messageId: string
  queue: string
  offset: number
  key: string
  /** Epoch ms. */
  storedAt: number
}

export async function contentOf(client: Client, topic: string): Promise<Held[]> {
  const consumer = createPullConsumer(client, { consumerGroup: 'chaos-judge' })
  const held: Held[] = []
  for (const queue of await consumer.queues(topic)) held.push(...(await contentOfQueue(consumer, queue)))
  return held
}

async function contentOfQueue(consumer: PullConsumer, queue: MessageQueue): Promise<Held[]> {
  const held: Held[] = []
  for (let offset = 0n, more = true; more; ) {
    const { messages, nextBeginOffset, maxOffset } = await consumer.pull(queue, offset)
    for (const { messageId, queueOffset, systemProperties, storeTimestamp } of messages)
      held.push({
        messageId,
        queue: nameOf(queue),
        offset: Number(queueOffset),
        key: systemProperties['__SHARDINGKEY'] ?? '',
        storedAt: storeTimestamp,
      })
    more = nextBeginOffset > offset && nextBeginOffset < maxOffset
    offset = nextBeginOffset
  }
  return held
}

const nameOf = ({ topic, brokerName, queueId }: MessageQueue): string => `${topic}/${brokerName}/${queueId}`

const HALF = { topic: 'RMQ_SYS_TRANS_HALF_TOPIC', queueId: 0 }
/** Of those that were asked about as often as a broker does. */
const GIVEN_UP = { topic: 'TRANS_CHECK_MAX_TIME_TOPIC', queueId: 0 }
/** In its name a broker notes how far it is with the half topic: it passes what was ended. */
const CHECKING_GROUP = 'CID_RMQ_SYS_TRANS'

/** How many transactions each broker has still to ask about, and has given up. */
export async function halvesOf(client: Client, { direct }: ChaosCluster): Promise<Of<'half'>[]> {
  const deadline = client.deadline()
  return await Promise.all(
    Object.entries(direct).map(async ([broker, address]) => {
      const max = async (queue: typeof HALF): Promise<bigint> =>
        (await client.network.call(address, GetMaxOffset, queue, undefined, { deadline })).header.offset
      const request = { ...HALF, consumerGroup: CHECKING_GROUP, setZeroIfNotFound: false }
      const passed = await client.network.call(address, QueryConsumerOffset, request, undefined, { deadline })
      const open = Number((await max(HALF)) - (passed.header.offset ?? 0n))
      return { kind: 'half', at: Date.now(), broker, open, givenUp: Number(await max(GIVEN_UP)) }
    }),
  )
}

/** Asks every broker where the groups stand, without a proxy between, for as long as there is one that answers. */
export function sampleOffsets(
  client: Client,
  { direct }: ChaosCluster,
  history: History,
): { stop(): Promise<void> } {
  const ending = new AbortController()
  const sample = async (group: string, queue: MessageQueue): Promise<void> => {
    const { topic, brokerName, queueId } = queue
    const request = { consumerGroup: group, topic, queueId, setZeroIfNotFound: false }
    // When it stood there at the earliest: noted by its answer, it may stand behind a kill that came at once.
    const at = Date.now()
    const call = client.network.call(direct[brokerName] ?? '', QueryConsumerOffset, request, undefined, {
      deadline: client.deadline({ deadlineMs: Date.now() + SAMPLE_MS }),
    })
    // A broker that is down or suspended says nothing of its offsets.
    const answer = await call.catch(() => undefined)
    const offset = answer?.header.offset
    if (offset === undefined) return
    history.add({ kind: 'offset', at, group, queue: nameOf(queue), offset: offset.toString() })
  }
  const running = (async () => {
    while (!ending.signal.aborted) {
      const queues = GROUPS.flatMap((group) =>
        Object.keys(direct).flatMap((brokerName) => [
          { group, queue: { topic: retryTopic(group), brokerName, queueId: 0 } },
          ...Array.from({ length: QUEUES }, (_, queueId) => ({
            group,
            queue: { topic: ORDERS, brokerName, queueId },
          })),
        ]),
      )
      await Promise.all(queues.map(({ group, queue }) => sample(group, queue)))
      await wait(SAMPLE_MS, undefined, { signal: ending.signal }).catch(() => {})
    }
  })()
  return {
    async stop() {
      ending.abort()
      await running
    },
  }
}

/** Notes when the machine had no time for this process; no promise of time can be judged then. */
export function noteStalls(history: History): { stop(): void } {
  let last = Date.now()
  const timer = setInterval(() => {
    const now = Date.now()
    if (now - last > TICK_MS + STALL_MS) history.add({ kind: 'stall', at: last + TICK_MS, until: now })
    last = now
  }, TICK_MS)
  return { stop: () => clearInterval(timer) }
}
