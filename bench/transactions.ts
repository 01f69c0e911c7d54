/**
 * Transactions that many processes begin, each killed behind its last one: a third was ended in time, a third is left to a
 * check that knows what became of it, a third to one that does not. What became of each of them, on a real RocketMQ and on
 * the local broker.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type CheckResult,
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  createTransactionProducer,
  type Message,
  type MessageQueue,
  type Resolve,
  type TransactionOutcome,
} from '../src/index.ts'
import { GetProducerConnectionList } from '../src/testing/broker/handlers/more-commands.ts'
import { startBroker } from '../src/testing/index.ts'
import { until } from '../test/conformance/context.ts'
import { ROCKETMQ_VERSION } from '../test/support/rocketmq/install.ts'
import { startRocketMQ } from '../test/support/rocketmq/start.ts'
import { type Cells, table, whole } from './report.ts'

/** What a program of transactions is asked to do. */
export interface Begin {
  nameServers: string
  topic: string
  producerGroup: string
  /** Number of the first transaction. */
  first: number
  count: number
}

/** A transaction, as the process tells of it that began it. */
export interface Begun {
  at: number
  messageId: string
  /** From begin to the acknowledged end. */
  tookMs: number
}

export interface Figures {
  broker: string
  begun: number
  ended: number
  known: number
  unknown: number
  /** From begin to the acknowledged end. */
  slowestEndMs: number
  /** Ended in time, and asked about all the same. */
  endedAndAsked: number
  /** Ended in time, and delivered more than once. */
  endedAndTwice: number
  /** Of those that the check knows: the number of the check by whose answer it was ended. */
  mostChecks: number
  /**
   * Not in the right state: a commit is delivered once, everything else not at all; the check says of those that nobody ended
   * what it has done, and that it does not know.
   */
  wrong: number
  /** Of those that the check does not know: in the topic of what is asked about no more, in the end. */
  givenUp: number
}

/**
 * All are begun within the time-out, so that no round comes before the check is there. An end is noted up to 3 s later; all
 * that are ended are so at once.
 */
const QUICK = { transactionTimeOut: 10_000, transactionCheckInterval: 3_000, transactionCheckMax: 6 }
/** But for the number of checks. */
const AS_SHIPPED = { transactionTimeOut: 6_000, transactionCheckInterval: 30_000, transactionCheckMax: 6 }
const ROUNDS = 3
const GIVEN_UP = 'TRANS_CHECK_MAX_TIME_TOPIC'
const TOPIC = 'transactions'
const GROUP = 'order-service'
const SENTINEL = 'the last one'
/** For a message that has to come. */
const PATIENCE_MS = 30_000

type Kind = { by: 'caller' | 'check'; outcome: TransactionOutcome } | { by: 'nobody'; outcome: 'unknown' }

const KINDS: readonly Kind[] = [
  { by: 'caller', outcome: 'commit' },
  { by: 'check', outcome: 'commit' },
  { by: 'nobody', outcome: 'unknown' },
  { by: 'caller', outcome: 'rollback' },
  { by: 'check', outcome: 'rollback' },
  { by: 'nobody', outcome: 'unknown' },
]

/** Who ends the transaction with this number, and how. */
export const kindOf = (at: number): Kind => KINDS[at % KINDS.length] as Kind

interface Options {
  processes: number
  /** In each process. */
  count: number
}

/** How often the check was asked about a transaction, and the number of the check that was the last. */
interface Asked {
  times: number
  checks: number
}

/** A broker, and how its rounds of checks come. */
interface Checking {
  broker: string
  nameServers: string
  /** How long a window of checks is. */
  windowMs: number
  /** Called when the window has begun; `asked` grows while it lasts. */
  letCheck?: (client: Client, begun: readonly Begun[], asked: ReadonlyMap<string, Asked>) => Promise<void>
  /** Called when it is over. */
  letGiveUp?: () => Promise<void>
}

/** Rounds come by themselves. */
export async function onRocketMQ(options: Options): Promise<Figures> {
  await using rocketmq = await startRocketMQ({ settings: QUICK })
  await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', TOPIC, '-r', '1', '-w', '1')
  const { transactionTimeOut, transactionCheckInterval } = QUICK
  return await measure(options, {
    broker: `RocketMQ ${ROCKETMQ_VERSION}`,
    nameServers: rocketmq.nameServers,
    windowMs: transactionTimeOut + ROUNDS * transactionCheckInterval,
  })
}

/** Its clock is moved: the next round comes as soon as all is answered. */
export async function onLocalBroker(options: Options): Promise<Figures> {
  const { transactionTimeOut, transactionCheckInterval, transactionCheckMax } = AS_SHIPPED
  const broker = await startBroker({ ...AS_SHIPPED, topics: { [TOPIC]: { queues: 1 } } })
  await using _ = broker
  const { clock } = broker
  return await measure(options, {
    broker: 'the local broker',
    nameServers: broker.nameServers,
    windowMs: 6_000,
    letCheck: async (client, begun, asked) => {
      const address = broker.brokers[0]?.address ?? ''
      const open = begun.filter(({ at }) => kindOf(at).by !== 'caller')
      const isAnswered = ({ at, messageId }: Begun, round: number): boolean =>
        (asked.get(messageId)?.times ?? 0) >= (kindOf(at).by === 'nobody' ? round : 1)
      await until('the check to be registered', () => isRegistered(client, address))
      await clock.advance(transactionTimeOut)
      for (let round = 1; round <= ROUNDS; round++) {
        await clock.advance(transactionCheckInterval)
        await until(`the answers of round ${round}`, () => open.every((each) => isAnswered(each, round)))
      }
    },
    letGiveUp: () => clock.advance(transactionCheckInterval * (transactionCheckMax + 1)),
  })
}

const isRegistered = (client: Client, address: string): Promise<boolean> =>
  client.network
    .call(address, GetProducerConnectionList, { producerGroup: GROUP }, undefined, {
      deadline: client.deadline(),
    })
    .then(
      () => true,
      () => false,
    )

async function measure(options: Options, checking: Checking): Promise<Figures> {
  const { nameServers, windowMs } = checking
  const client = createClient({ nameServers, timeoutMs: 20_000 })
  try {
    const begun = await beginAndDie(options, nameServers)
    const asked = new Map<string, Asked>()
    const resolve: Resolve = async ({ messageId, properties }, { checks }) => {
      asked.set(messageId, { times: (asked.get(messageId)?.times ?? 0) + 1, checks })
      return kindOf(Number(properties['at'])).outcome
    }
    const transactions = createTransactionProducer(client, { producerGroup: GROUP })
    const checked = transactions.check({ windowMs, concurrency: 50, resolve })
    await Promise.all([checked, checking.letCheck?.(client, begun, asked)])
    const delivered = await readDelivered(client)
    await checking.letGiveUp?.()
    const givenUp = await readGivenUp(client, counts(begun).nobody)
    const { broker } = checking
    return { broker, ...judge(begun, await checked, asked, delivered), givenUp }
  } finally {
    await client.close()
  }
}

/** Each process is killed when it has begun its last one, and ended those that it ends. */
async function beginAndDie({ processes, count }: Options, nameServers: string): Promise<Begun[]> {
  const program = join(import.meta.dirname, 'programs/begin.ts')
  const children: ChildProcess[] = []
  try {
    for (let at = 0; at < processes; at++) {
      const job: Begin = { nameServers, topic: TOPIC, producerGroup: GROUP, first: at * count, count }
      children.push(fork(program, [JSON.stringify(job)]))
    }
    await Promise.all(children.map(messageOf))
    const telling = Promise.all(children.map(messageOf))
    for (const child of children) child.send('go')
    return ((await telling) as Begun[][]).flat()
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
}

/** The next message of a process; rejects when it ends before. */
const messageOf = async (child: ChildProcess): Promise<unknown> => {
  const stop = new AbortController()
  const { signal } = stop
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a process ended with ${code}`)
  })
  try {
    const [message] = await Promise.race([once(child, 'message', { signal }), gone])
    return message
  } finally {
    stop.abort()
    gone.catch(() => undefined)
  }
}

/** How often each id is there. What was committed before the sentinel was sent stands before it: the topic has one queue. */
async function readDelivered(client: Client): Promise<Map<string, number>> {
  await createProducer(client, { producerGroup: 'judge' }).send({ topic: TOPIC, body: SENTINEL })
  const delivered = new Map<string, number>()
  const [queue] = await createPullConsumer(client, { consumerGroup: 'judge' }).queues(TOPIC)
  if (!queue) throw new Error('no queue')
  for await (const { messageId, body } of readFrom(client, queue)) {
    if (body.toString() === SENTINEL) return delivered
    delivered.set(messageId, (delivered.get(messageId) ?? 0) + 1)
  }
  throw new Error(`${SENTINEL} has not come`)
}

/** How many different ones the broker has given up, when it has given up so many or for a while no more. */
async function readGivenUp(client: Client, expected: number): Promise<number> {
  const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
  const [queue] = await until('the first to be given up', () =>
    consumer.queues(GIVEN_UP).catch(() => undefined),
  )
  if (!queue) throw new Error('no queue')
  const ids = new Set<string>()
  for await (const { messageId } of readFrom(client, queue)) if (ids.add(messageId).size === expected) break
  return ids.size
}

/** What stands in a queue and what comes, until nothing has come for a while. */
async function* readFrom(client: Client, queue: MessageQueue): AsyncGenerator<Message> {
  const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
  for (let next = 0n, limit = Date.now() + PATIENCE_MS; Date.now() < limit; ) {
    const { messages, nextBeginOffset } = await consumer.pull(queue, next)
    next = nextBeginOffset
    if (messages.length > 0) limit = Date.now() + PATIENCE_MS
    else await delay(20)
    yield* messages
  }
}

const counts = (begun: readonly Begun[]): Record<Kind['by'], number> => {
  const count = { caller: 0, check: 0, nobody: 0 }
  for (const { at } of begun) count[kindOf(at).by]++
  return count
}

function judge(
  begun: readonly Begun[],
  { resolved, unknown }: CheckResult,
  asked: ReadonlyMap<string, Asked>,
  delivered: ReadonlyMap<string, number>,
): Omit<Figures, 'broker' | 'givenUp'> {
  const { caller, check, nobody } = counts(begun)
  const told = new Map<string, Kind['outcome']>()
  for (const { messageId } of resolved.committed) told.set(messageId, 'commit')
  for (const { messageId } of resolved.rolledBack) told.set(messageId, 'rollback')
  for (const { messageId } of unknown) told.set(messageId, 'unknown')
  const isRight = ({ at, messageId }: Begun): boolean => {
    const { by, outcome } = kindOf(at)
    const times = delivered.get(messageId) ?? 0
    return times === (outcome === 'commit' ? 1 : 0) && (by === 'caller' || told.get(messageId) === outcome)
  }
  const ended = begun.filter(({ at }) => kindOf(at).by === 'caller')
  return {
    begun: new Set(begun.map(({ messageId }) => messageId)).size,
    ended: caller,
    known: check,
    unknown: nobody,
    slowestEndMs: Math.max(...ended.map(({ tookMs }) => tookMs)),
    endedAndAsked: ended.filter(({ messageId }) => asked.has(messageId)).length,
    endedAndTwice: ended.filter(({ messageId }) => (delivered.get(messageId) ?? 0) > 1).length,
    mostChecks: Math.max(
      ...begun
        .filter(({ at }) => kindOf(at).by === 'check')
        .map(({ messageId }) => asked.get(messageId)?.checks ?? Number.POSITIVE_INFINITY),
    ),
    wrong: begun.filter((each) => !isRight(each)).length,
  }
}

/** Prints the figures of both brokers, and gives them as a table. */
export async function transactionRuns(processes: number, count: number): Promise<string> {
  const all = [await onRocketMQ({ processes, count }), await onLocalBroker({ processes, count })]
  const lines: [name: string, of: (figures: Figures) => string | number, goal?: string][] = [
    [`begun, in ${processes} processes`, ({ begun }) => whole(begun)],
    ['ended in time', ({ ended }) => ended],
    ['the longest from begin to the end', ({ slowestEndMs }) => `${whole(slowestEndMs)} ms`],
    ['left to a check that knows', ({ known }) => known],
    ['left to a check that does not', ({ unknown }) => unknown],
    ['not in the right state', ({ wrong }) => wrong, '0'],
    ['the most checks of one that is known', ({ mostChecks }) => mostChecks, `≤ ${ROUNDS}`],
    ['ended in time, and asked about', ({ endedAndAsked }) => endedAndAsked],
    ['ended in time, and delivered twice', ({ endedAndTwice }) => endedAndTwice, '0'],
    ['not known, and given up behind the last check', ({ givenUp }) => givenUp, 'all'],
  ]
  const cells = lines.map(([name, of, goal = '']): Cells => [name, ...all.map(of), goal])
  const head = ['', ...all.map(({ broker }) => broker), 'goal']
  console.log('\ntransactions')
  for (const line of cells) console.log(`  ${line.join('  ')}`)
  return table(head, cells)
}
