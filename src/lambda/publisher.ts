/**
 * The publisher: HTTP (payload v2) or a direct invocation in, stored messages out. It answers 200 only when a broker
 * has stored everything.
 */
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import * as z from 'zod/mini'
import type { Client } from '../client/client.ts'
import { checkKeys } from '../client/options.ts'
import { createMessageId, type Delay, MAX_BODY_BYTES, type OutgoingMessage } from '../client/outgoing.ts'
import { type BatchResult, createProducer, type Producer } from '../client/producer.ts'
import type { SendResult } from '../client/values.ts'
import { ConfigError } from '../errors.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import type { ClientOption } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import {
  HttpError,
  type HttpEvent,
  type HttpResponse,
  isHttpEvent,
  json,
  type Problem,
  problem,
  TooLargeError,
  toProblem,
  traceOf,
} from './http.ts'
import { rocketmq } from './middleware.ts'
import { isoTime, parseWith } from './schema.ts'

export interface PublisherOptions {
  /** The topics that may be published to; every other one is answered with 403. */
  topics: readonly string[]
  producerGroup: string
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
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

const KEYS: readonly (keyof MessageRequest)[] = [
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

const messageRequest: z.ZodMiniType<MessageRequest> = /* @__PURE__ */ z.strictObject({
  body: z.unknown(),
  isBase64Encoded: z.optional(z.boolean()),
  tag: z.optional(z.string()),
  keys: z.optional(z.union([z.string(), z.array(z.string())])),
  properties: z.optional(z.record(z.string(), z.string())),
  shardingKey: z.optional(z.string()),
  delayLevel: z.optional(z.int()),
  delayMs: z.optional(z.int()),
  deliverAt: z.optional(z.union([z.number(), z.string()])),
  messageId: z.optional(z.string()),
})

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

/** What a publisher answers: an HTTP response, or to a direct invocation the body of one. */
export type PublishAnswer = HttpResponse | PublishResult | { results: PublishResult[] }

/** A direct invocation: a message and its topic, or many. */
export type PublishEvent =
  | ({ topic: string } & MessageRequest)
  | { topic: string; messages: MessageRequest[] }

/** What the middleware makes of Lambda's context. */
type PublishContext = Context & { rocketmq: Client }

/** An API's stage or base path may stand before it. */
const PATH = /\/topics\/([^/]+)\/messages\/?$/
const MOST_MESSAGES = 1_000

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
  checkKeys('publisher', options, ['topics', 'producerGroup', 'client'])
  const { topics, producerGroup, client } = options
  if (!Array.isArray(topics) || topics.length === 0)
    throw new ConfigError('topics', 'takes the topics that may be published to')
  for (const [index, topic] of topics.entries()) checkTopicName(topic, `topics[${index}]`)
  checkGroupName(producerGroup, 'producerGroup')
  const producers = new WeakMap<Client, Producer>()
  const publish = async (
    event: unknown,
    context: LambdaContext & { rocketmq: Client },
  ): Promise<PublishAnswer> => {
    let producer = producers.get(context.rocketmq)
    if (!producer) {
      producer = createProducer(context.rocketmq, { producerGroup })
      producers.set(context.rocketmq, producer)
    }
    const deadlineMs = invocationDeadline(context)
    return isHttpEvent(event)
      ? await answerHttp(event, topics, producer, deadlineMs)
      : await answerDirect(event, topics, producer, deadlineMs)
  }
  const handler = middy<unknown, PublishAnswer, Error, PublishContext>()
    .use(rocketmq({ client }))
    .handler(publish)
  return async (event, context) => await handler(event, context as PublishContext)
}

async function answerHttp(
  event: HttpEvent,
  topics: readonly string[],
  producer: Producer,
  deadlineMs: number,
): Promise<HttpResponse> {
  try {
    const [, encoded] = PATH.exec(event.rawPath) ?? []
    if (encoded === undefined)
      throw new HttpError(404, 'No such path', 'publish with POST /topics/{topic}/messages')
    if (event.requestContext.http.method !== 'POST')
      throw new HttpError(405, 'Method not allowed', 'publish with POST')
    const topic = allowedTopic(decodePath(encoded), topics)
    const body = readBody(event)
    const trace = traceOf(event)
    if (!isMany(body)) {
      const result = await sendOne(toOutgoing(topic, body, '', trace), producer, deadlineMs)
      return isPublished(result) ? json(200, result) : problem(result)
    }
    const results = await publishMany(topic, body, producer, deadlineMs, trace)
    return json(results.every((each) => each.status === 200) ? 200 : 207, { results })
  } catch (error) {
    const document = toProblem(error)
    if (document.status === 500) console.error(error)
    return problem(document)
  }
}

async function answerDirect(
  event: unknown,
  topics: readonly string[],
  producer: Producer,
  deadlineMs: number,
): Promise<PublishAnswer> {
  const { topic, ...rest } = (typeof event === 'object' && event !== null ? event : {}) as { topic?: unknown }
  if (typeof topic !== 'string')
    throw new ConfigError('topic', 'is required: invoke with { topic, body } or { topic, messages }')
  if (!topics.includes(topic))
    throw new ConfigError('topic', `${JSON.stringify(topic)} is not one of the topics of this function`)
  if (!isMany(rest)) return toPublished(await producer.send(toOutgoing(topic, rest, ''), { deadlineMs }))
  return { results: await publishMany(topic, rest, producer, deadlineMs) }
}

/** One batch for the messages without a delay; brokers do not delay within a batch, so the others go by themselves. */
async function publishMany(
  topic: string,
  request: { messages: unknown },
  producer: Producer,
  deadlineMs: number,
  trace?: Readonly<Record<string, string>>,
): Promise<PublishResult[]> {
  checkKeys('the request', request, ['messages'])
  const { messages: values } = request
  if (!Array.isArray(values)) throw new ConfigError('messages', 'takes a list of messages')
  if (values.length === 0 || values.length > MOST_MESSAGES) {
    const Wrong = values.length === 0 ? ConfigError : TooLargeError
    throw new Wrong('messages', `takes 1 to ${MOST_MESSAGES} messages, got ${values.length}`)
  }
  const messages = values.map((value, index) => toOutgoing(topic, value, `messages[${index}].`, trace))
  const batch = [...messages.entries()].filter(([, message]) => !isDelayed(message))
  const results: PublishResult[] = []
  const outcomes = await sendBatch(topic, batch, producer, deadlineMs)
  for (const [at, [index]] of batch.entries()) {
    const outcome = outcomes[at] as BatchResult
    results[index] =
      outcome.outcome === 'stored' ? toPublished(outcome.result) : toProblem(outcome.error, outcome.messageId)
  }
  for (const [index, message] of messages.entries())
    results[index] ??= await sendOne(message, producer, deadlineMs)
  return results
}

/** @throws what sendBatch throws, a message named by its place in the request */
async function sendBatch(
  topic: string,
  batch: readonly (readonly [index: number, message: OutgoingMessage])[],
  producer: Producer,
  deadlineMs: number,
): Promise<BatchResult[]> {
  try {
    return await producer.sendBatch(
      topic,
      batch.map(([, message]) => message),
      { deadlineMs },
    )
  } catch (error) {
    const [whole, at] = (error instanceof ConfigError && /^messages\[(\d+)\]/.exec(error.field ?? '')) || []
    if (!(error instanceof ConfigError) || whole === undefined || error.field === undefined) throw error
    const field = `messages[${batch[Number(at)]?.[0]}]${error.field.slice(whole.length)}`
    throw new ConfigError(field, error.message.slice(error.field.length + 2), { cause: error })
  }
}

async function sendOne(
  message: OutgoingMessage,
  producer: Producer,
  deadlineMs: number,
): Promise<PublishResult> {
  const messageId = message.messageId ?? createMessageId() // known beforehand, so that the caller can repeat under it
  try {
    return toPublished(await producer.send({ ...message, messageId }, { deadlineMs }))
  } catch (error) {
    const document = toProblem(error, messageId)
    if (document.status === 500) console.error(error)
    return document
  }
}

function toPublished(result: SendResult): Published {
  const { status: sendStatus, messageId, offsetMessageId, queue, queueOffset, recallHandle } = result
  const published = {
    status: 200 as const,
    sendStatus,
    messageId,
    offsetMessageId,
    queue,
    queueOffset: queueOffset.toString(),
  }
  return recallHandle === undefined ? published : { ...published, recallHandle }
}

const isPublished = (result: PublishResult): result is Published => result.status === 200

const isMany = (body: unknown): body is { messages: unknown } =>
  typeof body === 'object' && body !== null && Object.hasOwn(body, 'messages')

const isDelayed = ({ delayLevel, delayMs, deliverAt }: OutgoingMessage): boolean =>
  delayLevel !== undefined || delayMs !== undefined || deliverAt !== undefined

/**
 * @param prefix of the names of fields in errors: `messages[3].` in a batch
 * @param trace properties that the message has unless it brings its own
 * @throws ConfigError
 */
function toOutgoing(
  topic: string,
  value: unknown,
  prefix: string,
  trace?: Readonly<Record<string, string>>,
): OutgoingMessage {
  const what = prefix.slice(0, -1) || 'the message'
  const request = parseWith(messageRequest, value, { what, prefix, keys: KEYS })
  const { body, isBase64Encoded, deliverAt, ...rest } = request
  // As it came: what the schema makes of a record lacks `__proto__`.
  const { properties: own } = value as MessageRequest
  const properties = trace ? { ...trace, ...own } : own
  const delay = {
    ...rest,
    properties,
    ...(deliverAt === undefined ? {} : { deliverAt: toTime(deliverAt, prefix) }),
  } as Delay
  return { topic, body: toBody(body, isBase64Encoded === true, prefix), ...delay }
}

function toBody(body: unknown, isBase64Encoded: boolean, prefix: string): Buffer {
  const field = `${prefix}body`
  if (body === undefined)
    throw new ConfigError(field, 'is required: text, any JSON value, or base64 with isBase64Encoded')
  if (isBase64Encoded && !isBase64(body)) throw new ConfigError(field, 'is not base64')
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  if (!text.isWellFormed())
    throw new ConfigError(field, 'has half of a surrogate pair, which UTF-8 cannot hold')
  const bytes = Buffer.from(text, isBase64Encoded ? 'base64' : 'utf8')
  if (bytes.length > MAX_BODY_BYTES)
    throw new TooLargeError(field, `has ${bytes.length} bytes; brokers take at most ${MAX_BODY_BYTES}`)
  return bytes
}

/** With or without padding; one digit too many would be dropped silently. */
const isBase64 = (value: unknown): boolean =>
  typeof value === 'string' &&
  /^[A-Za-z0-9+/]*={0,2}$/.test(value) &&
  value.replace(/=+$/, '').length % 4 !== 1

function toTime(deliverAt: number | string, prefix: string): number {
  const at = typeof deliverAt === 'number' ? deliverAt : isoTime(deliverAt)
  if (Number.isNaN(at)) throw new ConfigError(`${prefix}deliverAt`, 'takes epoch ms or an ISO 8601 text')
  return at
}

function readBody(event: HttpEvent): unknown {
  const { body, isBase64Encoded } = event
  try {
    // Strict: bytes that are no UTF-8 would be stored as something else.
    const decoder = new TextDecoder('utf-8', { fatal: true })
    return JSON.parse(isBase64Encoded ? decoder.decode(Buffer.from(body ?? '', 'base64')) : (body ?? ''))
  } catch {
    throw new HttpError(400, 'Invalid JSON', 'the request body is not JSON in UTF-8', 'body')
  }
}

function decodePath(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw new HttpError(400, 'Invalid path', 'the topic in the path is not URL-encoded', 'topic')
  }
}

function allowedTopic(topic: string, topics: readonly string[]): string {
  if (topics.includes(topic)) return topic
  throw new HttpError(
    403,
    'Topic not allowed',
    `this function does not publish to ${topic.slice(0, 127)}`,
    'topic',
  )
}
