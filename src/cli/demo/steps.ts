/** What happens in the demo, step by step: a further step is a further entry of the list. */
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '../../client/client.ts'
import type { InvocationRecord } from '../../testing/index.ts'
import { findDeadLetters, REDRIVE_COUNT } from '../dlq/letters.ts'
import { redrive } from '../dlq/redrive.ts'
import { progressGroupOf } from '../dlq/selection.ts'
import { errorOf } from '../function-lines.ts'
import { timeOf } from '../output.ts'
import { CONSUMER_GROUP, type Stage, TOPIC, TRANSACTION_TIMES } from './stage.ts'

export interface Step {
  /** What happens, in plain words. */
  title: string
  /** The same in a few words, for the table. */
  name: string
  /** What must be seen. */
  expected: string
  /** Lets it happen and says what was seen. Rejects, or sees something else, when it is not as it should be. */
  run(stage: Stage): Promise<Seen>
}

export interface Seen {
  seen: string
  /** Of the invocation, cold or warm. @default the time that the step took */
  time?: string
}

/** A part of the answer, for each message; one that was not stored has none of it. */
interface Published {
  messageId?: string
  queue?: { queueId: number }
  queueOffset?: string
}

const MINUTE_MS = 60_000
/** The delays of three attempts are over by then. */
const MOST_MINUTES = 10
/** So many rounds of checks have room before consume is started again. */
const MOST_WINDOWS = 4
const DEAD_LETTERS = `%DLQ%${CONSUMER_GROUP}`
const ORDERS = [1, 2, 3]

export const steps: readonly Step[] = [
  {
    title: 'Three orders are posted to the HTTP API; the publish function sends them to the broker',
    name: 'publish three orders',
    expected: '200, 3 stored',
    run: async (stage) => {
      const messages = ORDERS.map((order) => ({
        body: { order },
        tag: 'created',
        keys: [`order-${order}`],
        shardingKey: 'customer-7',
      }))
      const { status, body, time } = await post(stage, TOPIC, { messages })
      for (const { messageId, queue, queueOffset } of (body as { results?: Published[] }).results ?? [])
        stage.print(`   ${messageId} is stored in queue ${queue?.queueId} at offset ${queueOffset}`)
      const stored = stage.broker.messages(TOPIC).length
      return { seen: `${status}, ${stored} stored`, time }
    },
  },
  {
    title: 'A post to a topic that the function is not set up for is refused',
    name: 'publish to another topic',
    expected: '403 application/problem+json',
    run: async (stage) => {
      const { status, type, time } = await post(stage, 'secrets', { body: 'hello' })
      return { seen: `${status} ${type}`, time }
    },
  },
  {
    title: 'A minute passes (the clock is moved): the schedule starts consume, which handles the orders',
    name: 'consume, a minute later',
    expected: 'cold, 3 handled, 0 failed',
    run: minutePasses,
  },
  {
    title: 'Another minute passes: consume is thawed, and there is nothing to do',
    name: 'consume, another minute later',
    expected: 'warm, 0 handled, 0 failed',
    run: minutePasses,
  },
  {
    title: `The broker is asked how far the group ${CONSUMER_GROUP} is`,
    name: 'committed offsets',
    expected: '3 stored, 3 committed, lag 0',
    run: async ({ broker, print }) => {
      const rows = broker.lag().filter(({ consumerGroup }) => consumerGroup === CONSUMER_GROUP)
      for (const { queue, committedOffset, maxOffset } of rows)
        print(
          `   ${queue.brokerName} queue ${queue.queueId}: committed offset ${committedOffset} of ${maxOffset}`,
        )
      const sum = (of: 'committedOffset' | 'lag'): bigint => rows.reduce((all, row) => all + row[of], 0n)
      const stored = broker.messages(TOPIC).length
      return { seen: `${stored} stored, ${sum('committedOffset')} committed, lag ${sum('lag')}` }
    },
  },
  {
    title: 'An order is posted that consume will reject',
    name: 'publish a bad order',
    expected: '200, 4 stored',
    run: async (stage) => {
      const message = { body: { order: 4 }, keys: ['order-4'], properties: { reject: 'yes' } }
      const { status, time } = await post(stage, TOPIC, message)
      return { seen: `${status}, ${stage.broker.messages(TOPIC).length} stored`, time }
    },
  },
  {
    title: 'Minutes pass: it fails, comes again after 10 s, 30 s and 1 min, and is a dead letter in the end',
    name: 'consume, until it gives up',
    expected: '4 attempts, 3 sent back, 1 dead letter, lag 0',
    run: async (stage) => {
      const { broker } = stage
      let attempts = 0
      let sentBack = 0
      for (let minute = 0; minute < MOST_MINUTES && broker.messages(DEAD_LETTERS).length === 0; minute++) {
        const { result } = await consumeOnce(stage)
        attempts += result.failed
        sentBack += result.sentBack
      }
      const letters = broker.messages(DEAD_LETTERS)
      for (const { properties } of letters) stage.print(`   ${properties['KEYS']} is in ${DEAD_LETTERS}`)
      const lag = broker.lag().reduce((all, row) => all + row.lag, 0n)
      return {
        seen: `${attempts} attempts, ${sentBack} sent back, ${letters.length} dead letter, lag ${lag}`,
      }
    },
  },
  {
    title: 'A transaction is begun, and whoever should end it has died: its order is there for nobody',
    name: 'begin a transaction, abandon it',
    expected: '201, 4 stored',
    run: async (stage) => {
      const message = { body: { order: 5 }, keys: ['order-5'], properties: { resolve: 'commit' } }
      const { status, time } = await post(stage, TOPIC, message, 'transactions')
      return { seen: `${status}, ${stage.broker.messages(TOPIC).length} stored`, time }
    },
  },
  {
    title: 'Seconds pass: the broker asks check-transactions, which is there for a moment, and it commits',
    name: 'check it, seconds later',
    expected: '1 committed, 5 stored',
    run: async (stage) => {
      let committed = 0
      // On a machine that is very busy a window may be over before the round comes.
      for (let window = 0; window < MOST_WINDOWS && committed === 0; window++)
        committed = await checkOnce(stage)
      const time = timesOf(stage.takeInvocations())
      return { seen: `${committed} committed, ${stage.broker.messages(TOPIC).length} stored`, time }
    },
  },
  {
    title: 'A minute passes: consume handles the order, which is an order as any other now',
    name: 'consume it, a minute later',
    expected: 'warm, 1 handled, 0 failed',
    run: minutePasses,
  },
  {
    title: `The dead letter is sent again, as rocketmq-lambda dlq redrive ${CONSUMER_GROUP} does; a second run finds nothing`,
    name: 'redrive the dead letter, twice',
    expected: '1 sent, 0 sent, redrive 1, the same id',
    run: async ({ broker, print }) => {
      const sent = await redriveAll(broker.nameServers)
      const again = await redriveAll(broker.nameServers)
      const [letter] = broker.messages(DEAD_LETTERS)
      const copy = broker.messages(TOPIC).find(({ properties }) => properties[REDRIVE_COUNT] !== undefined)
      if (copy)
        print(
          `   ${copy.properties['KEYS']} is in ${TOPIC} again, at offset ${copy.queueOffset} of queue ${copy.queueId}`,
        )
      const isSame = copy !== undefined && copy.properties['UNIQ_KEY'] === letter?.properties['UNIQ_KEY']
      const count = copy?.properties[REDRIVE_COUNT]
      return {
        seen: `${sent} sent, ${again} sent, redrive ${count}, ${isSame ? 'the same id' : 'another id'}`,
      }
    },
  },
]

/** How many were sent. */
async function redriveAll(nameServers: string): Promise<number> {
  const client = createClient({ nameServers })
  try {
    const { redriven, error } = await redrive(client, {
      consumerGroup: CONSUMER_GROUP,
      deadLetters: await findDeadLetters(client, CONSUMER_GROUP),
      progressGroup: progressGroupOf(CONSUMER_GROUP, {}, undefined),
      selection: {},
      maxRedrives: 3,
    })
    if (error !== undefined) throw error
    return redriven
  } finally {
    await client.close()
  }
}

interface Answer {
  status: number
  type: string | null
  body: unknown
  time: string
}

async function post(
  stage: Stage,
  topic: string,
  message: unknown,
  what: 'messages' | 'transactions' = 'messages',
): Promise<Answer> {
  const path = `/topics/${topic}/${what}`
  const response = await fetch(`${stage.lambda.httpUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })
  const body = (await response.json()) as unknown
  const { detail } = body as { detail?: string }
  stage.print(`   POST ${path} → ${response.status}${detail === undefined ? '' : `: ${detail}`}`)
  const invocations = stage.takeInvocations()
  for (const { functionError, payload } of invocations) if (functionError) throw new Error(errorOf(payload))
  const type = response.headers.get('content-type')
  return { status: response.status, type, body, time: timesOf(invocations) }
}

async function minutePasses(stage: Stage): Promise<Seen> {
  const { invocation, result } = await consumeOnce(stage)
  const start = invocation.report.initMs === undefined ? 'warm' : 'cold'
  return {
    seen: `${start}, ${result.handled} handled, ${result.failed} failed`,
    time: timesOf([invocation]),
  }
}

interface Consumed {
  handled: number
  failed: number
  sentBack: number
}

/** Lets the schedule start consume. */
async function consumeOnce(stage: Stage): Promise<{ invocation: InvocationRecord; result: Consumed }> {
  await stage.clock.advance(MINUTE_MS)
  await stage.lambda.idle()
  const invocations = stage.takeInvocations()
  const [invocation] = invocations
  if (invocation === undefined || invocations.length > 1)
    throw new Error(`consume was started ${invocations.length} times`)
  if (invocation.functionError) throw new Error(errorOf(invocation.payload))
  return { invocation, result: JSON.parse(invocation.payload) as Consumed }
}

/** Starts a window of checks, and lets a round come when it is open; gives how many were committed. */
async function checkOnce(stage: Stage): Promise<number> {
  const { lambda, clock } = stage
  let isOver = false
  const checking = lambda.invoke('check-transactions').finally(() => {
    isOver = true
  })
  while (!isOver && !(await stage.hasProducer())) await Promise.race([checking, delay(5)])
  const { transactionTimeOut, transactionCheckInterval } = TRANSACTION_TIMES
  await clock.advance(transactionTimeOut + transactionCheckInterval)
  const { payload, functionError } = await checking
  if (functionError) throw new Error(errorOf(JSON.stringify(payload)))
  return (payload as { committed: number }).committed
}

const timesOf = (invocations: readonly InvocationRecord[]): string =>
  invocations.map(({ report }) => timeOf(report)).join(', ')
