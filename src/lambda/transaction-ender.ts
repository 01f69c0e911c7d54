/**
 * Ends transactions that another function began: HTTP (payload v2) or a direct invocation in, a commit or a rollback out.
 * Brokers commit what was rolled back, and commit twice; so what was ended before is looked for first, here and there, and
 * refused.
 */
import { type Ended, findEnd } from '../client/ended.ts'
import { atLeast, checkKeys } from '../client/options.ts'
import { checkSecrets, ExpiredError, type Seal } from '../client/seal.ts'
import { readTransaction, type Transaction } from '../client/transaction.ts'
import { createEnd, type TransactionOutcome } from '../client/transactor.ts'
import { BrokerError, ConfigError, RocketMQError } from '../errors.ts'
import { checkArray, checkChoice, checkObject, refuse } from '../wire/checks.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import { type ClientOption, clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { type Calling, explain, reasonOf } from './explain.ts'
import {
  type Asked,
  checked,
  checkJsonType,
  HttpError,
  type HttpEvent,
  type HttpResponse,
  isHttpEvent,
  json,
  problem,
  type Refusal,
  readBody,
  type Wording,
} from './http.ts'

export interface TransactionEnderOptions {
  /** The topics whose transactions may be ended; those of any other are answered with 403. */
  topics: readonly string[]
  /** As that of who begins and of who checks. */
  producerGroup: string
  /**
   * As that of who begins, at least 32 characters: transactions are taken as signed text only. Of a list any is accepted.
   * @default none: transactions are plain JSON, which anybody can make up
   */
  secret?: string | readonly string[] | undefined
  /** How long signed text is accepted, in ms. @default 300000 */
  maxAgeMs?: number | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
}

/** A direct invocation. */
export interface EndEvent {
  /** As it was given to who began it. */
  transaction: Transaction | string
  outcome: TransactionOutcome
}

/** A transaction that was ended now. */
export interface TransactionEnded {
  status: 200
  outcome: Ended
  messageId: string
  /** Whether the broker could tell that it had not been ended before; false also where this function may not ask. */
  checked: boolean
}

/** An API's stage or base path may stand before it. */
const PATH = /\/transactions\/(commit|rollback)\/?$/
/** What looking for an earlier end may take of the time. */
const LOOK_MS = 2_000
const LOOK_SHARE = 3
/** Ends that are remembered for as long as the process lives. */
const MOST_REMEMBERED = 10_000
const LEAVE_IT =
  'the broker may have ended it; do not repeat this: unless it was ended, the next check asks what became of it'

/** It was ended before. */
class EndedError extends ConfigError {}

function refusalOf(error: ConfigError): Refusal {
  if (error instanceof EndedError) return { title: 'Already ended', status: 409 }
  if (error instanceof ExpiredError) return { title: 'Transaction expired', status: 410 }
  const isTransaction = /^transaction(\.|$)/.test(error.field ?? '')
  return { title: isTransaction ? 'Invalid transaction' : 'Invalid request', status: 400 }
}

const ENDING: Wording = {
  refused: refusalOf,
  whenNotDone: 'nothing was done; try again later',
  whenUnknown: LEAVE_IT,
}

const PAST = { commit: 'committed', rollback: 'rolledBack' } as const
const WORDS: Readonly<Record<Ended, string>> = { committed: 'committed', rolledBack: 'rolled back' }

/** What ends, and until when. */
interface Ending extends Calling {
  topics: readonly string[]
  read: (given: unknown) => Transaction
  end: ReturnType<typeof createEnd>
  remembered: Map<string, Ended>
  /** Ends that are under way: another one of the same transaction waits to see what becomes of it. */
  turns: Map<string, Promise<unknown>>
  /** Once for each process: what keeps earlier ends from being found mostly stays. */
  warn: (reason: unknown) => void
}

/**
 * Makes a Lambda handler that ends transactions.
 * `POST /transactions/commit` or `/transactions/rollback` with `{ "transaction": … }`; a direct invocation has
 * `{ transaction, outcome }`, and rejects where HTTP answers with a problem.
 *
 * @example
 * export const handler = transactionEnder({ topics: ['orders'], producerGroup: 'order-api', secret })
 * @throws ConfigError naming the option, when it is made
 */
export function transactionEnder(
  options: TransactionEnderOptions,
): (event: HttpEvent | EndEvent, context: LambdaContext) => Promise<HttpResponse | TransactionEnded> {
  checkKeys('transactionEnder', options, ['topics', 'producerGroup', 'secret', 'maxAgeMs', 'client'])
  const { producerGroup } = options
  checkGroupName(producerGroup, 'producerGroup')
  const topics = Array.from(checkArray('topics', options.topics), (topic, index) =>
    checkTopicName(topic, `topics[${index}]`),
  )
  if (topics.length === 0) refuse('topics', 'takes the topics whose transactions may be ended')
  const secrets = checkSecrets(options.secret, 'secret')
  const maxAgeMs = atLeast(1, 300_000)(options.maxAgeMs, 'maxAgeMs')
  const seal: Seal | undefined = secrets && { secrets, maxAgeMs }
  const client = clientOf(options.client)
  let isWarned = false
  const shared = {
    client,
    topics,
    read: (given: unknown) => readTransaction(seal, producerGroup, given),
    end: createEnd(client, { producerGroup, seal }),
    remembered: new Map<string, Ended>(),
    turns: new Map<string, Promise<unknown>>(),
    warn(reason: unknown) {
      if (isWarned) return
      isWarned = true
      const message = 'it cannot be told whether transactions were ended before'
      console.warn(JSON.stringify({ level: 'WARN', message, reason: String(reason) }))
    },
  }
  return async (event, context) => {
    await client.thaw()
    const ending: Ending = { ...shared, deadlineMs: invocationDeadline(context) }
    return isHttpEvent(event) ? await answerHttp(event, ending) : await answerDirect(event, ending)
  }
}

async function answerHttp(event: HttpEvent, ending: Ending): Promise<HttpResponse> {
  let asked: Asked | undefined
  try {
    const [, outcome] = PATH.exec(event.rawPath) ?? []
    if (outcome === undefined)
      throw new HttpError(
        404,
        'No such path',
        'end a transaction with POST /transactions/commit or /transactions/rollback',
      )
    if (event.requestContext.http.method !== 'POST')
      throw new HttpError(405, 'Method not allowed', 'end a transaction with POST')
    checkJsonType(event)
    const body = readBody(event) as { transaction: Transaction | string }
    const transaction = checked(() => {
      checkKeys('the request', checkObject('body', body), ['transaction'])
      return ending.read(body.transaction)
    })
    const { messageId } = transaction
    asked = { transaction, messageId } as Asked
    if (!ending.topics.includes(transaction.topic))
      throw new HttpError(
        403,
        'Topic not allowed',
        `this function does not end transactions of ${transaction.topic}`,
        'transaction.topic',
      )
    return json(200, await endOnce(transaction, body.transaction, outcome as TransactionOutcome, ending))
  } catch (error) {
    return problem(await explain(error, ending, asked, ENDING))
  }
}

async function answerDirect(event: unknown, ending: Ending): Promise<TransactionEnded> {
  const { transaction: given, outcome } = checkObject('the event', event as EndEvent)
  checkKeys('the event', event, ['transaction', 'outcome'])
  checkChoice('outcome', outcome, 'commit', 'rollback')
  const transaction = ending.read(given)
  const { topic, messageId } = transaction
  if (!ending.topics.includes(topic))
    refuse('transaction.topic', `${topic} is not one of the topics of this function`)
  try {
    return await endOnce(transaction, given, outcome, ending)
  } catch (cause) {
    const error = await reasonOf(cause, ending)
    // Lambda hands on an error's name and message only.
    if (RocketMQError.is(error) && error.outcome === 'unknown')
      error.message += `: messageId ${messageId}; ${LEAVE_IT}`
    throw error
  }
}

/** @throws EndedError when it was ended before */
async function endOnce(
  transaction: Transaction,
  given: Transaction | string,
  outcome: TransactionOutcome,
  ending: Ending,
): Promise<TransactionEnded> {
  const { turns } = ending
  const { messageId, brokerName, commitLogOffset } = transaction
  const key = `${brokerName} ${commitLogOffset} ${messageId}`
  const turn = (turns.get(key) ?? Promise.resolve())
    .catch(() => undefined)
    .then(() => endInTurn(key, transaction, given, outcome, ending))
  turns.set(key, turn)
  try {
    return await turn
  } finally {
    if (turns.get(key) === turn) turns.delete(key)
  }
}

async function endInTurn(
  key: string,
  transaction: Transaction,
  given: Transaction | string,
  outcome: TransactionOutcome,
  ending: Ending,
): Promise<TransactionEnded> {
  const { remembered, deadlineMs } = ending
  const { messageId } = transaction
  const known = remembered.get(key)
  const { ended, checked } = known ? { ended: known, checked: true } : await lookForEnd(transaction, ending)
  if (ended) throw new EndedError('transaction', `was ${WORDS[ended]} already`)
  try {
    await ending.end(given, outcome, { deadlineMs })
  } catch (cause) {
    if (!(cause instanceof BrokerError && cause.responseCode === 1 && cause.outcome === 'refused'))
      throw cause
    throw new ConfigError('transaction', `is not known to its broker: ${cause.remark}`, { cause })
  }
  if (remembered.size >= MOST_REMEMBERED) remembered.delete(remembered.keys().next().value as string)
  remembered.set(key, PAST[outcome])
  return { status: 200, outcome: PAST[outcome], messageId, checked }
}

/** An end is worth more than knowing that there was none: consumers are idempotent, and checks may not be there. */
async function lookForEnd(
  transaction: Transaction,
  { client, deadlineMs, warn }: Ending,
): Promise<{ ended?: Ended | undefined; checked: boolean }> {
  const share = Math.min(LOOK_MS, (deadlineMs - Date.now()) / LOOK_SHARE)
  const deadline = client.deadline({ deadlineMs: Date.now() + share })
  try {
    return { ended: await findEnd(client, transaction, deadline), checked: true }
  } catch (reason) {
    warn(reason)
    return { checked: false }
  }
}
