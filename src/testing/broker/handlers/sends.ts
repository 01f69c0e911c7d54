/**
 * SEND_MESSAGE 10, SEND_MESSAGE_V2 310, SEND_BATCH_MESSAGE 320, RECALL_MESSAGE 370 (upstream SendMessageProcessor).
 */
import { randomBytes } from 'node:crypto'
import { RecallMessage, type RecallMessageRequest } from '../../../commands/recall.ts'
import {
  ILLEGAL_OPERATION,
  INVALID_PARAMETER,
  MESSAGE_ILLEGAL,
  NO_PERMISSION,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  SYSTEM_ERROR,
  TOPIC_NOT_EXIST,
} from '../../../commands/response-codes.ts'
import { PERM_READ, PERM_WRITE } from '../../../commands/route.ts'
import {
  DEFAULT_TOPIC,
  SendBatchMessage,
  SendMessage,
  type SendMessageRequest,
  type SendMessageResponse,
  SendMessageV2,
} from '../../../commands/send.ts'
import type { TopicConfig } from '../../../commands/topics.ts'
import { decodeBatch } from '../../../wire/batch.ts'
import { createUniqKey } from '../../../wire/message-id.ts'
import { deadLetterTopic } from '../../../wire/names.ts'
import { decodeProperties } from '../../../wire/properties.ts'
import { formatRecallHandle, parseRecallHandle } from '../../../wire/recall-handle.ts'
import { type Call, type Handler, handle, Refusal, type Reply } from '../handler.ts'
import { type BrokerNode, ILLEGAL_SIZE, MAX_BODY_BYTES } from '../node.ts'
import type { Properties } from '../record.ts'
import { ENDS_TOPIC, HALF_TOPIC, PERM_INHERIT, SCHEDULE_TOPIC } from '../topics.ts'
import { checkTopic, noTopic, SEE_FAQ } from './names.ts'

const RETRY = '%RETRY%'
/** The first version whose `maxReconsumeTimes` counts. */
export const V3_4_9 = 121
/** Kept apart from what users may write to. */
const NOT_FOR_SENDING = [SCHEDULE_TOPIC, HALF_TOPIC, ENDS_TOPIC]
const MSG_REGION = { MSG_REGION: 'DefaultRegion' }
const REGION = { ...MSG_REGION, TRACE_ON: 'true' }
/** A handle has the time asked for, rounded up to the second, and one ms. */
const HANDLE_LATER_MS = 1_001

type SendCall = Call<BrokerNode>
type SendReply = Reply<SendMessageResponse, undefined>

export const sendHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(SendMessage, send),
  handle(SendMessageV2, send),
  handle(SendBatchMessage, send),
  handle(RecallMessage, (call: SendCall, request) => marked(MSG_REGION, () => recall(call, request))),
]

function recall(
  { server }: SendCall,
  { topic, recallHandle }: RecallMessageRequest,
): Reply<{ msgId: string }, undefined> {
  const { settings, clock, delays, topics } = server
  if (!settings.recall) throw new Refusal(NO_PERMISSION, 'recall failed, operation is forbidden')
  if (!topics.get(topic)) throw new Refusal(TOPIC_NOT_EXIST, noTopic(topic))
  const illegal = (remark: string): never => {
    throw new Refusal(ILLEGAL_OPERATION, remark)
  }
  const handleOf = (): ReturnType<typeof parseRecallHandle> => {
    try {
      return parseRecallHandle(recallHandle)
    } catch {
      return illegal('recall failed, recall handle is invalid') // whatever it is that is wrong with it
    }
  }
  const { topic: of, brokerName, deliverTimeMs, messageId } = handleOf()
  if (of !== topic) illegal('recall failed, topic not match')
  if (brokerName !== settings.brokerName) illegal('recall failed, broker service not available')
  if (deliverTimeMs <= clock.now()) illegal('recall failed, timestamp invalid')
  delays.recall(topic, messageId)
  return { header: { msgId: messageId } }
}

function send(call: SendCall, request: SendMessageRequest, body: Buffer): SendReply {
  return marked(REGION, () => {
    const config = checkSend(call, request)
    return (request.batch === true ? sendBatch : sendOne)(call, request, body, config)
  })
}

/** Gives every answer the fields, but for those that Java makes of an exception. */
function marked<Answer extends Reply<unknown, unknown>>(
  ext: Readonly<Record<string, string>>,
  run: () => Answer,
): Answer {
  try {
    const reply = run()
    reply.ext = ext
    return reply
  } catch (error) {
    if (!(error instanceof Refusal) || error.responseCode === SYSTEM_ERROR) throw error
    throw new Refusal(error.responseCode, error.message, ext)
  }
}

/** The topic of a send, created for it where that is on. */
function checkSend({ server, connection }: SendCall, request: SendMessageRequest): TopicConfig {
  const { topic, queueId } = request
  const { topics } = server
  const config = topics.get(topic) ?? createFor(server, request)
  if (NOT_FOR_SENDING.includes(topic))
    throw new Refusal(NO_PERMISSION, `Sending message to topic[${topic}] is forbidden.`)
  if (!config) throw new Refusal(TOPIC_NOT_EXIST, noTopic(topic))
  if (queueId >= Math.max(config.writeQueueNums, config.readQueueNums)) {
    const what = `request queueId[${queueId}] is illegal, ${describe(config)} Producer: ${connection.remote}`
    throw new Refusal(INVALID_PARAMETER, what)
  }
  return config
}

function createFor({ topics }: BrokerNode, request: SendMessageRequest): TopicConfig | undefined {
  const { topic, defaultTopic = DEFAULT_TOPIC, defaultTopicQueueNums = 4 } = request
  checkTopic(topic)
  const created = topics.createAfter(topic, defaultTopic, defaultTopicQueueNums)
  return created ?? (topic.startsWith(RETRY) ? topics.ensure(topic, 1) : undefined)
}

const describe = ({
  topicName,
  readQueueNums,
  writeQueueNums,
  perm,
  topicSysFlag,
  order,
}: TopicConfig): string =>
  `TopicConfig [topicName=${topicName}, readQueueNums=${readQueueNums}, writeQueueNums=${writeQueueNums}, perm=${formatPerm(perm)}, topicFilterType=SINGLE_TAG, topicSysFlag=${topicSysFlag}, order=${order}, attributes={}]`

/** `RW-`, `R--`, … */
const formatPerm = (perm: number): string =>
  (perm & PERM_READ ? 'R' : '-') + (perm & PERM_WRITE ? 'W' : '-') + (perm & PERM_INHERIT ? 'X' : '-')

/** A random number modulo `queues`, in Java's way. */
function randomQueue(queues: number): number {
  if (queues === 0) throw new Refusal(SYSTEM_ERROR, 'java.lang.ArithmeticException: / by zero')
  return Math.floor(Math.random() * Math.abs(queues))
}

function sendOne(call: SendCall, request: SendMessageRequest, body: Buffer, config: TopicConfig): SendReply {
  const { server, connection } = call
  if (body.length === 0) throw new Refusal(SYSTEM_ERROR, 'java.lang.NullPointerException')
  if (body.length > MAX_BODY_BYTES) throw new Refusal(MESSAGE_ILLEGAL, ILLEGAL_SIZE)
  const properties = decodeProperties(request.properties ?? '')
  const { topic, queueId } = targetOf(call, request, config, properties)
  const messageId = properties['UNIQ_KEY'] ?? createUniqKey(randomBytes(16))
  properties['UNIQ_KEY'] = messageId
  delete properties['POP_CK']
  Object.assign(properties, REGION)
  properties['CLUSTER'] = server.registry.clusterName
  const message = {
    topic,
    queueId,
    flag: request.flag,
    sysFlag: request.sysFlag,
    bornTimestamp: request.bornTimestamp,
    bornHost: connection.bornHost,
    reconsumeTimes: request.reconsumeTimes ?? 0,
    body,
  }
  const stored = isHalf(request, properties)
    ? server.transactions.begin(message, properties)
    : server.put(message, properties)
  const header: SendMessageResponse = {
    msgId: stored.offsetMessageId,
    queueId,
    queueOffset: BigInt(stored.queueOffset),
    transactionId: messageId,
  }
  if (stored.timerDueAt !== undefined && !messageId.includes(' ')) {
    header.recallHandle = formatRecallHandle({
      topic,
      brokerName: server.brokerName,
      deliverTimeMs: BigInt(stored.timerDueAt + HANDLE_LATER_MS),
      messageId,
    })
  }
  return { header }
}

/** By the property alone. A retry of old clients that has it is none. */
function isHalf({ reconsumeTimes = 0 }: SendMessageRequest, { TRAN_MSG, DELAY }: Properties): boolean {
  return TRAN_MSG?.toLowerCase() === 'true' && !(reconsumeTimes > 0 && Number(DELAY) > 0)
}

/** A send to a retry topic becomes a dead letter after its last attempt, and while anybody holds a lock of the group. */
function targetOf(
  { server, frame }: SendCall,
  request: SendMessageRequest,
  config: TopicConfig,
  properties: Properties,
): { topic: string; queueId: number } {
  const { topic } = request
  const queueId = request.queueId < 0 ? randomQueue(config.writeQueueNums) : request.queueId
  if (!topic.startsWith(RETRY)) return { topic, queueId }
  const group = topic.slice(RETRY.length)
  const settings = server.groupFor(group)
  if (!settings)
    throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${group} ${SEE_FAQ}`)
  const most =
    frame.version >= V3_4_9 ? (request.maxReconsumeTimes ?? settings.retryMaxTimes) : settings.retryMaxTimes
  if ((request.reconsumeTimes ?? 0) <= most && !server.locks.isAnyHeld(group)) return { topic, queueId }
  const dead = server.topics.ensure(deadLetterTopic(group), 1)
  properties['DELAY'] = '-1'
  return { topic: dead.topicName, queueId: 0 }
}

function sendBatch(
  call: SendCall,
  request: SendMessageRequest,
  body: Buffer,
  config: TopicConfig,
): SendReply {
  const { server, connection } = call
  const { topic } = request
  if (topic.startsWith(RETRY))
    throw new Refusal(MESSAGE_ILLEGAL, `batch request does not support retry group ${topic}`)
  if (body.length === 0) throw new Refusal(SYSTEM_ERROR, 'java.lang.NullPointerException')
  if (body.length > MAX_BODY_BYTES) throw new Refusal(MESSAGE_ILLEGAL, ILLEGAL_SIZE)
  const queueId = request.queueId < 0 ? randomQueue(config.writeQueueNums) : request.queueId
  const stored = decodeBatch(body).map((message) =>
    server.putAsIs(
      {
        ...message,
        topic,
        queueId,
        sysFlag: request.sysFlag,
        bornTimestamp: request.bornTimestamp,
        bornHost: connection.bornHost,
        reconsumeTimes: request.reconsumeTimes ?? 0,
      },
      decodeProperties(message.properties)['TAGS'],
    ),
  )
  return {
    header: {
      msgId: stored.map(({ position }) => server.offsetMessageId(position)).join(','),
      queueId,
      queueOffset: BigInt(stored[0]?.queueOffset ?? 0),
    },
  }
}
