/**
 * The publisher: HTTP (payload v2) or a direct invocation in, stored messages out. It answers 200 only when a broker
 * has stored everything.
 */
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import type { Client } from '../client/client.ts'
import { checkKeys } from '../client/options.ts'
import { createMessageId, MAX_BODY_BYTES, type OutgoingMessage, prepare } from '../client/outgoing.ts'
import { type BatchResult, createSender, type Sender } from '../client/producer.ts'
import { checkSecrets } from '../client/seal.ts'
import type { Transaction } from '../client/transaction.ts'
import type { SendResult } from '../client/values.ts'
import { ConfigError, RocketMQError } from '../errors.ts'
import type { CallOptions } from '../net/deadline.ts'
import { checkArray, checkChoice, checkObject, checkText, inside, refuse } from '../wire/checks.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import { type ClientOption, clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { explain, reasonOf } from './explain.ts'
import {
  checked,
  checkJsonType,
  decodePath,
  HttpError,
  type HttpEvent,
  type HttpResponse,
  idempotencyKeyOf,
  isBase64,
  isHttpEvent,
  json,
  type Problem,
  PUBLISHING,
  problem,
  readBody,
  TooLargeError,
  traceOf,
} from './http.ts'
import { isoTime } from './schema.ts'
import { checkSchema } from './screen.ts'
import type { StandardSchema } from './standard-schema.ts'

export interface PublisherOptions {
  /** The topics that may be published to, or what holds for each by its name; every other one is answered with 403. */
  topics: readonly string[] | Readonly<Record<string, PublisherTopic>>
  producerGroup: string
  /** The names of the properties that a request may give; any other is answered with 400. @default all but RocketMQ's own */
  properties?: readonly string[] | undefined
  /** Begins transactions too, for a `transactionEnder` and a `transactionChecker` of the same group. @default none */
  transactions?: PublisherTransactions | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
}

/** How transactions are given to the caller. */
export interface PublisherTransactions {
  /**
   * As that of the ender: a transaction is signed text then. Callers that are not trusted must not get any other.
   * @default none: it is plain JSON
   */
  secret?: string | readonly string[] | undefined
}

/** What holds for one topic. */
export interface PublisherTopic {
  /** What bodies must fit, as JSON; one that does not is answered with 400. It only checks: what it makes of a body is not sent. */
  schema?: StandardSchema | undefined
  /** In place of the publisher's `properties`. */
  properties?: readonly string[] | undefined
}

/** A message as a request holds it. */
export interface MessageRequest {
  /** Text, sent as UTF-8; with `isBase64Encoded` bytes; any other JSON value is sent as its JSON text. */
  body: unknown
  isBase64Encoded?: boolean | undefined
  tag?: string | undefined
  keys?: string | string[] | undefined
  properties?: Record<string, string> | undefined
  shardingKey?: string | undefined
  /** 1 to 18. */
  delayLevel?: number | undefined
  delayMs?: number | undefined
  /** Epoch ms or an ISO 8601 text. */
  deliverAt?: number | string | undefined
  /** Of an earlier attempt, when this is a repetition. */
  messageId?: string | undefined
}

/** Each field is checked where it is used; zod would cost every request and 14 KB for their names. */
const FIELDS: readonly (keyof MessageRequest)[] = [
  'body',
  'isBase64Encoded',
  'tag',
  'keys',
  'properties',
  'shardingKey',
  'delayLevel',
  'delayMs',
  'deliverAt',
  'messageId',
]

/** A message that was stored, and where. */
export interface Published {
  status: 200
  /** How well: SEND_OK, or one of the weaker guarantees. */
  sendStatus: SendResult['status']
  messageId: string
  offsetMessageId: string
  queue: SendResult['queue']
  /** Decimal. */
  queueOffset: string
  /** Of a message with delayMs or deliverAt. */
  recallHandle?: string
}

/** What became of one message. */
export type PublishResult = Published | Problem

/** A transaction that was begun. */
export interface Begun {
  status: 201
  /** As that of a message that is published. */
  sendStatus: SendResult['status']
  /** For who ends it; text when it is signed. */
  transaction: Transaction | string
  messageId: string
}

/** What a publisher answers: an HTTP response, or to a direct invocation the body of one. */
export type PublishAnswer = HttpResponse | PublishResult | Begun | { results: PublishResult[] }

/** A direct invocation: a message and its topic, or many, or one to begin a transaction with. */
export type PublishEvent =
  | ({ topic: string } & MessageRequest)
  | { topic: string; messages: MessageRequest[] }
  | { topic: string; begin: MessageRequest }

/** Where the messages of a request go, and what holds for them. */
interface Destination extends PublisherTopic {
  topic: string
  /** Properties that a message has unless it brings its own. */
  trace?: Readonly<Record<string, string>> | undefined
  /** For messages without an id of their own. */
  idempotencyKey?: string | undefined
}

/** What sends, and until when. */
interface Sending {
  client: Client
  producer: Sender
  deadlineMs: number
  /** Absent where there are no transactions. */
  begin?: Begin | undefined
}

type Begin = (message: OutgoingMessage, limits: CallOptions) => Promise<Begun>

/** An API's stage or base path may stand before it. */
const PATH = /\/topics\/([^/]+)\/(messages|transactions)\/?$/
const MOST_MESSAGES = 1_000
const BEGIN_AGAIN =
  'the transaction may have begun; begin another one under another messageId: nothing is known of the work of this one, so that its check ends it'

/**
 * Makes a Lambda handler that publishes.
 * `POST /topics/{topic}/messages` with one message or `{ "messages": [...] }`; a direct invocation has the same body and
 * a `topic`, and rejects where HTTP answers with a problem.
 *
 * @example
 * export const handler = publisher({ topics: ['orders'], producerGroup: 'order-api' })
 * @throws ConfigError naming the option, when it is made
 */
export function publisher(
  options: PublisherOptions,
): (event: HttpEvent | PublishEvent, context: LambdaContext) => Promise<PublishAnswer> {
  checkKeys('publisher', options, ['topics', 'producerGroup', 'properties', 'transactions', 'client'])
  const { producerGroup, client: clientOption, transactions } = options
  const topics = readTopics(options)
  checkGroupName(producerGroup, 'producerGroup')
  if (transactions !== undefined) checkKeys('transactions', transactions, ['secret'])
  const secrets = checkSecrets(transactions?.secret, 'transactions.secret')
  const client = clientOf(clientOption)
  const begin: Sending['begin'] =
    transactions &&
    (async (message, limits) => {
      // Most functions begin none: it is loaded for those that do.
      const { beginner } = await import('./beginner.ts')
      const { status: sendStatus, ...begun } = await beginner(client, producerGroup, secrets)(message, limits)
      return { status: 201, sendStatus, ...begun }
    })
  const producer = createSender(client, { producerGroup })
  const publish = (event: unknown, context: Context): Promise<PublishAnswer> => {
    const sending = { client, producer, begin, deadlineMs: invocationDeadline(context) }
    return isHttpEvent(event) ? answerHttp(event, topics, sending) : answerDirect(event, topics, sending)
  }
  const handler = middy<unknown, PublishAnswer>()
    .before(() => client.thaw())
    .handler(publish)
  return (event, context) => handler(event, context as Context)
}

/** @throws ConfigError naming the option */
function readTopics({ topics, properties }: PublisherOptions): Map<string, PublisherTopic> {
  const entries: [string, PublisherTopic][] = Array.isArray(topics)
    ? Array.from(topics, (topic: string, index) => [checkTopicName(topic, `topics[${index}]`), {}])
    : Object.entries(checkObject('topics', topics as Readonly<Record<string, PublisherTopic>>))
  if (entries.length === 0) refuse('topics', 'takes the topics that may be published to')
  const all = readNames(properties, 'properties')
  return new Map(
    entries.map(([topic, own]) => {
      const field = `topics.${topic}`
      checkTopicName(topic, field)
      checkKeys(field, own, ['schema', 'properties'])
      const schema = checkSchema(own.schema, `${field}.schema`)
      return [topic, { schema, properties: readNames(own.properties, `${field}.properties`) ?? all }]
    }),
  )
}

function readNames(names: readonly string[] | undefined, field: string): readonly string[] | undefined {
  return names && Array.from(checkArray(field, names), (name, index) => checkText(`${field}[${index}]`, name))
}

async function answerHttp(
  event: HttpEvent,
  topics: ReadonlyMap<string, PublisherTopic>,
  sending: Sending,
): Promise<HttpResponse> {
  try {
    const [, encoded, what] = PATH.exec(event.rawPath) ?? []
    const isBegin = what === 'transactions'
    if (encoded === undefined || (isBegin && !sending.begin))
      throw new HttpError(404, 'No such path', 'publish with POST /topics/{topic}/messages')
    if (event.requestContext.http.method !== 'POST')
      throw new HttpError(405, 'Method not allowed', 'publish with POST')
    const topic = decodePath(encoded)
    const rules = topics.get(topic)
    if (!rules)
      throw new HttpError(
        403,
        'Topic not allowed',
        `this function does not publish to ${topic.slice(0, 127)}`,
        'topic',
      )
    checkJsonType(event)
    const destination = { topic, ...rules, trace: traceOf(event), idempotencyKey: idempotencyKeyOf(event) }
    const body = readBody(event)
    if (!isBegin && isMany(body)) {
      const results = await publishMany(destination, body, sending)
      return json(results.every(isPublished) ? 200 : 207, { results })
    }
    const outgoing = checked(() => toOutgoing(destination, body, ''))
    // It waits for a schema only: what middy does behind its call is done while the broker works.
    const message = rules.schema ? await outgoing : (outgoing as OutgoingMessage)
    if (isBegin) {
      const begun = await beginOne(message, sending)
      return 'transaction' in begun ? json(201, begun) : problem(begun)
    }
    const result = await sendOne(message, sending)
    return isPublished(result) ? json(200, result) : problem(result)
  } catch (error) {
    return problem(await explain(error, sending))
  }
}

async function answerDirect(
  event: unknown,
  topics: ReadonlyMap<string, PublisherTopic>,
  sending: Sending,
): Promise<PublishAnswer> {
  const { topic, ...rest } = (typeof event === 'object' && event !== null ? event : {}) as { topic?: unknown }
  if (typeof topic !== 'string')
    refuse('topic', 'is required: invoke with { topic, body } or { topic, messages }')
  const rules = topics.get(topic)
  if (!rules) refuse('topic', `${JSON.stringify(topic)} is not one of the topics of this function`)
  const destination = { topic, ...rules }
  if (isMany(rest)) return { results: await publishMany(destination, rest, sending) }
  const { begin } = sending
  const isBegin = begin !== undefined && Object.hasOwn(rest, 'begin')
  if (isBegin) checkKeys('the event', rest, ['begin'])
  const message = await toOutgoing(destination, isBegin ? (rest as { begin?: unknown }).begin : rest, '')
  try {
    if (isBegin) return await begin(message, sending)
    return toPublished(await sending.producer.send(message, sending))
  } catch (cause) {
    const error = await reasonOf(cause, sending)
    // Lambda hands on an error's name and message only.
    if (RocketMQError.is(error) && error.outcome === 'unknown')
      error.message += isBegin
        ? `: messageId ${message.messageId}; ${BEGIN_AGAIN}`
        : `; it may be stored, and can be repeated with messageId ${message.messageId}`
    throw error
  }
}

async function beginOne(message: OutgoingMessage, sending: Sending): Promise<Begun | Problem> {
  try {
    return await (sending.begin as Begin)(message, sending)
  } catch (error) {
    return await explain(error, sending, message, { ...PUBLISHING, whenUnknown: BEGIN_AGAIN })
  }
}

/**
 * One batch for the messages without a delay; brokers do not delay within a batch, so the others go by themselves.
 * @throws ConfigError before anything is sent
 */
async function publishMany(
  destination: Destination,
  request: { messages: unknown },
  sending: Sending,
): Promise<PublishResult[]> {
  const values = checked(() => {
    checkKeys('the request', request, ['messages'])
    const { messages: given } = request
    if (!Array.isArray(given)) refuse('messages', 'takes a list of messages')
    if (given.length > 0 && given.length <= MOST_MESSAGES) return given
    const Wrong = given.length === 0 ? ConfigError : TooLargeError
    throw new Wrong('messages', `takes 1 to ${MOST_MESSAGES} messages, got ${given.length}`)
  })
  const messages: OutgoingMessage[] = []
  for (const [index, value] of values.entries()) {
    const prefix = `messages[${index}].`
    const message = await checked(() => toOutgoing(destination, value, prefix, `-${index}`))
    checked(() => inside(prefix, () => prepare(message.topic, message)))
    messages.push(message)
  }
  const batch = [...messages.entries()].filter(([, message]) => !isDelayed(message))
  const outcomes = await sending.producer.sendBatch(
    destination.topic,
    batch.map(([, message]) => message),
    sending,
  )
  const results: PublishResult[] = []
  for (const [at, [index, message]] of batch.entries()) {
    const outcome = outcomes[at] as BatchResult
    results[index] =
      outcome.outcome === 'stored'
        ? toPublished(outcome.result)
        : await explain(outcome.error, sending, message)
  }
  for (const [index, message] of messages.entries()) results[index] ??= await sendOne(message, sending)
  return results
}

async function sendOne(message: OutgoingMessage, sending: Sending): Promise<PublishResult> {
  try {
    return toPublished(await sending.producer.send(message, sending))
  } catch (error) {
    return await explain(error, sending, message)
  }
}

function toPublished(result: SendResult): Published {
  const { status: sendStatus, messageId, offsetMessageId, queue, queueOffset, recallHandle } = result
  return {
    status: 200,
    sendStatus,
    messageId,
    offsetMessageId,
    queue,
    queueOffset: String(queueOffset),
    ...(recallHandle === undefined ? {} : { recallHandle }),
  }
}

const isPublished = (result: PublishResult): result is Published => result.status === 200

const isMany = (body: unknown): body is { messages: unknown } =>
  typeof body === 'object' && body !== null && Object.hasOwn(body, 'messages')

const isDelayed = ({ delayLevel, delayMs, deliverAt }: OutgoingMessage): boolean =>
  delayLevel !== undefined || delayMs !== undefined || deliverAt !== undefined

/**
 * @param prefix of the names of fields in errors: `messages[3].` in a batch
 * @param place of the message, which tells the ids of one idempotency key apart
 * @throws ConfigError
 */
function toOutgoing(
  { topic, schema, properties: names, trace, idempotencyKey }: Destination,
  value: unknown,
  prefix: string,
  place = '',
): OutgoingMessage | Promise<OutgoingMessage> {
  const what = prefix.slice(0, -1) || 'the message'
  // What is no object may be a body in the wrong place: only its type is told.
  if (Object(value) !== value)
    refuse(what, `takes an object, got ${value === null ? 'null' : `a ${typeof value}`}`)
  checkObject(what, value)
  inside(prefix, () => checkKeys(what, value, FIELDS))
  const {
    body,
    isBase64Encoded,
    deliverAt,
    properties = {},
    messageId = idempotencyKey === undefined ? createMessageId() : idempotencyKey + place,
    ...rest
  } = value as MessageRequest
  const own = checkObject(`${prefix}properties`, properties as Readonly<Record<string, string>>)
  if (names) {
    for (const name of Object.keys(own))
      if (!names.includes(name))
        refuse(`${prefix}properties.${name}`, `is not allowed; there are ${names.join(', ') || 'none'}`)
  }
  const message = {
    ...rest,
    messageId,
    topic,
    body: toBody(body, isBase64Encoded, prefix),
    properties: { ...trace, ...own },
    ...(deliverAt === undefined ? {} : { deliverAt: toTime(deliverAt, prefix) }),
  } as OutgoingMessage & { body: Buffer }
  return schema ? fitting(schema, message, prefix) : message
}

async function fitting<Message extends { body: Buffer }>(
  schema: StandardSchema,
  message: Message,
  prefix: string,
): Promise<Message> {
  // Most functions have no schema: it is loaded for those that do.
  const { validate } = await import('./standard-schema.ts')
  const misfit = await validate(schema, message)
  if (misfit) checked(() => refuse(`${prefix}body`, misfit.detail))
  return message
}

function toBody(body: unknown, encoded: unknown, prefix: string): Buffer {
  const field = `${prefix}body`
  const isBase64Encoded =
    encoded !== undefined && checkChoice(`${prefix}isBase64Encoded`, encoded, true, false)
  if (body === undefined) refuse(field, 'is required: text, any JSON value, or base64 with isBase64Encoded')
  if (isBase64Encoded && !isBase64(body)) refuse(field, 'is not base64')
  const text = typeof body === 'string' ? body : jsonText(field, body)
  if (!text.isWellFormed()) refuse(field, 'has half of a surrogate pair, which UTF-8 cannot hold')
  const bytes = Buffer.from(text, isBase64Encoded ? 'base64' : 'utf8')
  if (bytes.length > MAX_BODY_BYTES)
    throw new TooLargeError(field, `has ${bytes.length} bytes; brokers take at most ${MAX_BODY_BYTES}`)
  return bytes
}

/** What can be read may be nested too deeply to be written. */
function jsonText(field: string, body: unknown): string {
  try {
    return JSON.stringify(body)
  } catch {
    refuse(field, 'is nested too deeply')
  }
}

function toTime(deliverAt: unknown, prefix: string): number {
  const at = typeof deliverAt === 'string' ? isoTime(deliverAt) : deliverAt
  if (typeof at !== 'number' || Number.isNaN(at))
    refuse(`${prefix}deliverAt`, 'takes epoch ms or an ISO 8601 text')
  return at
}
