/** `rocketmq-lambda lag`: what a group has still to read, and what it has given up. */
import { setTimeout as pause } from 'node:timers/promises'
import { createGroupAdmin, type QueueLag } from '../../client/admin/groups.ts'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import type { Client } from '../../client/client.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { AuthError, RocketMQError } from '../../errors.ts'
import { deadLetterTopic, retryTopic } from '../../wire/names.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { grantsIn } from '../grants.ts'
import { age, bold, dim, lineOf, printJson, table, timestamp } from '../output.ts'
import { createReader, inTurns, type Reader, unlessMissing } from './reading.ts'

export interface LagOptions extends ConnectionOptions {
  /** Milliseconds; true: the default. */
  watch?: number | true
}

/** What `--json` prints. */
interface Lag {
  at: string
  consumerGroup: string
  /** The sum over the queues. */
  lag: bigint
  /** The part of it that is in the retry topic. */
  retryLag: bigint
  /** Epoch ms of the oldest message that was not consumed; null where there is none, or it may not be read. */
  oldestTimestamp: number | null
  /** Messages per second. */
  consumeTps: number
  queues: QueueRow[]
  /** Null where it may not be read. */
  deadLetters: DeadLetters | null
  /** What would have to be granted to know the rest: `Get on Topic:%DLQ%billing`. */
  notPermitted: string[]
}

interface QueueRow
  extends MessageQueue,
    Pick<QueueLag, 'brokerOffset' | 'consumerOffset' | 'lag' | 'lastTimestamp'> {
  oldestTimestamp: number | null
}

interface DeadLetters {
  count: bigint
  queues: (MessageQueue & { count: bigint; oldestTimestamp: number | null })[]
}

const WATCH_MS = 2_000

export async function runLag(group: string, topic: string | undefined, options: LagOptions): Promise<void> {
  await withClient(options, async (client) => {
    const { watch } = options
    if (watch === undefined) {
      const lag = await readLag(client, group, topic)
      if (options.json) printJson(lag)
      else for (const line of linesOf(lag, topic)) console.log(line)
      return
    }
    process.once('SIGINT', () => process.exit(0))
    for (let isFirst = true; ; isFirst = false) {
      await readLag(client, group, topic).then(
        (lag) => show(lag, topic, options),
        (error: unknown) => {
          // A broker that is away for a while is what somebody may be watching for.
          if (isFirst || !(RocketMQError.is(error) && error.retryable)) throw error
          console.error(`error: ${lineOf(error)}`)
        },
      )
      await pause(watch === true ? WATCH_MS : watch)
    }
  })
}

function show(lag: Lag, topic: string | undefined, { json }: LagOptions): void {
  if (json) {
    printJson(lag)
    return
  }
  // A table that is drawn anew is for a terminal; elsewhere a line each time.
  if (!process.stdout.isTTY) {
    console.log(`${lag.at}  ${headOf(lag)}`)
    return
  }
  console.clear()
  for (const line of [dim(`${lag.at}; Ctrl-C ends it.`), ...linesOf(lag, topic)]) console.log(line)
}

async function readLag(client: Client, group: string, topic: string | undefined): Promise<Lag> {
  const reader = createReader(client)
  const missing = new Set<string>()
  /** Nothing where it is not permitted: the rest is worth knowing without it. */
  const unlessForbidden: UnlessForbidden = async (answer) =>
    await answer.catch((error: unknown) => {
      if (!(error instanceof AuthError)) throw error
      const [grant = lineOf(error)] = grantsIn(error.message)
      missing.add(grant)
      return undefined
    })
  const [stats, deadLetters] = await Promise.all([
    readStats(client, group, topic, unlessForbidden),
    readDeadLetters(client, reader, group, unlessForbidden),
  ])
  const queues = await inTurns(stats.queues, async (each): Promise<QueueRow> => {
    const { queue, brokerOffset, consumerOffset, lag, lastTimestamp } = each
    const oldestTimestamp = lag > 0n ? await storedAt(reader, queue, consumerOffset, unlessForbidden) : null
    return { ...queue, brokerOffset, consumerOffset, lag, lastTimestamp, oldestTimestamp }
  })
  return {
    at: timestamp(Date.now()),
    consumerGroup: group,
    lag: sum(queues.map(({ lag }) => lag)),
    retryLag: sum(queues.filter((each) => each.topic === retryTopic(group)).map(({ lag }) => lag)),
    oldestTimestamp: oldestOf(queues),
    consumeTps: stats.consumeTps,
    queues,
    deadLetters,
    notPermitted: [...missing].toSorted(),
  }
}

type UnlessForbidden = <T>(answer: Promise<T>) => Promise<T | undefined>

/** Of all topics, and of the retry topic also when nothing of it was committed: what came there first waits there. */
async function readStats(
  client: Client,
  group: string,
  topic: string | undefined,
  unlessForbidden: UnlessForbidden,
): Promise<{ queues: readonly QueueLag[]; consumeTps: number }> {
  const groups = createGroupAdmin(client)
  // Of a topic that there is not brokers say the same as of one that the group has not read.
  if (topic !== undefined) await createTopicAdmin(client).route(topic)
  const stats = await groups.stats(group, { topic })
  const retries = retryTopic(group)
  if (topic !== undefined || stats.queues.some(({ queue }) => queue.topic === retries)) return stats
  const waiting = await unlessForbidden(unlessMissing(createTopicAdmin(client).stats(retries)))
  if (!waiting?.queues.some(({ minOffset, maxOffset }) => maxOffset > minOffset)) return stats
  const { queues } = await groups.stats(group, { topic: retries })
  return { consumeTps: stats.consumeTps, queues: [...queues, ...stats.queues] }
}

async function readDeadLetters(
  client: Client,
  reader: Reader,
  group: string,
  unlessForbidden: UnlessForbidden,
): Promise<DeadLetters | null> {
  const topics = createTopicAdmin(client)
  const stats = await unlessForbidden(
    unlessMissing(topics.stats(deadLetterTopic(group))).then((found) => found?.queues ?? []),
  )
  if (!stats) return null
  const queues = await inTurns(stats, async ({ queue, minOffset, maxOffset }) => {
    const count = maxOffset - minOffset
    const oldestTimestamp = count > 0n ? await storedAt(reader, queue, minOffset, unlessForbidden) : null
    return { ...queue, count, oldestTimestamp }
  })
  return { count: sum(queues.map(({ count }) => count)), queues }
}

/** When the message at an offset, or the first one behind it, was stored; null where it may not be read. */
async function storedAt(
  reader: Reader,
  queue: MessageQueue,
  offset: bigint,
  unlessForbidden: UnlessForbidden,
): Promise<number | null> {
  const read = await unlessForbidden(reader.read(queue, offset, 1))
  return read?.messages[0]?.storeTimestamp ?? null
}

const sum = (numbers: readonly bigint[]): bigint => numbers.reduce((all, each) => all + each, 0n)

const oldestOf = (queues: readonly { oldestTimestamp: number | null }[]): number | null => {
  const known = queues.flatMap(({ oldestTimestamp }) => oldestTimestamp ?? [])
  return known.length > 0 ? Math.min(...known) : null
}

function headOf({ consumerGroup, lag, retryLag, oldestTimestamp, deadLetters }: Lag): string {
  const retries = retryLag > 0n ? `, ${retryLag} of them to be tried again` : ''
  const oldest = oldestTimestamp === null ? '' : `, the oldest ${ageOf(oldestTimestamp)}`
  return `${consumerGroup} is ${lag} behind${retries}${oldest}; dead letters: ${deadLetters?.count ?? 'they may not be read'}`
}

function linesOf(lag: Lag, topic: string | undefined): string[] {
  const { queues, deadLetters, consumerGroup, notPermitted } = lag
  const more = notPermitted.length > 0 ? ['', `To know the rest, grant ${notPermitted.join('; ')}.`] : []
  if (queues.length === 0 && !deadLetters?.count)
    return [
      `${consumerGroup} has not committed any offset${topic === undefined ? '' : ` of ${topic}`} yet.`,
      ...more,
    ]
  const rows = queues.map(
    ({ topic: name, brokerName, queueId, brokerOffset, consumerOffset, lag: open, oldestTimestamp }) => [
      name,
      `${brokerName}/${queueId}`,
      String(open),
      String(consumerOffset),
      String(brokerOffset),
      oldestTimestamp === null ? '' : ageOf(oldestTimestamp),
    ],
  )
  const dead = (deadLetters?.queues ?? []).map(
    ({ topic: name, brokerName, queueId, count, oldestTimestamp }) => [
      name,
      `${brokerName}/${queueId}`,
      String(count),
      '',
      '',
      oldestTimestamp === null ? '' : ageOf(oldestTimestamp),
    ],
  )
  const head = ['topic', 'queue', 'lag', 'committed', 'end', 'oldest']
  return [
    bold(headOf(lag)),
    '',
    ...table([head, ...rows, ...dead], (line, index) => (index === 0 ? dim(line) : line)),
    ...more,
  ]
}

const ageOf = (at: number): string => age(Date.now() - at)
