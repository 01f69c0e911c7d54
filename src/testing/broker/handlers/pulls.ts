/** PULL_MESSAGE 11, LITE_PULL_MESSAGE 361 and CHECK_CLIENT_CONFIG 46 (upstream PullMessageProcessor). */
import {
  CheckClientConfig,
  PULL_COMMIT_OFFSET,
  PULL_SUBSCRIPTION,
  PULL_SUSPEND,
  PullMessage,
  type PullMessageRequest,
  type PullMessageResponse,
} from '../../../commands/pull.ts'
import {
  INVALID_PARAMETER,
  NO_PERMISSION,
  PULL_NOT_FOUND,
  PULL_OFFSET_MOVED,
  PULL_RETRY_IMMEDIATELY,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  SUBSCRIPTION_NOT_EXIST,
  SUBSCRIPTION_NOT_LATEST,
  SUBSCRIPTION_PARSE_FAILED,
  SUCCESS,
  SYSTEM_ERROR,
  TOPIC_NOT_EXIST,
} from '../../../commands/response-codes.ts'
import { PERM_READ } from '../../../commands/route.ts'
import type { TopicConfig } from '../../../commands/topics.ts'
import { parseTagExpression } from '../../../wire/tag-expression.ts'
import { answerLater, type Call, type Handler, handle, Refusal, type Reply } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import type { ReadStatus } from '../store.ts'
import { noTopic, SEE_FAQ } from './names.ts'

type PullCall = Call<BrokerNode>
type PullReply = Reply<PullMessageResponse, Buffer>
export type Matches = (tag: number) => boolean

export const noSql = (type: string): string =>
  `The broker does not support consumer to filter message by ${type}`

export const pullHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(PullMessage, (call: PullCall, request) => pull(call, request, true)),
  handle({ ...PullMessage, code: 361, name: 'LITE_PULL_MESSAGE' }, (call: PullCall, request) =>
    pull(call, request, true),
  ),
  handle(CheckClientConfig, (_call: PullCall, _header, { subscriptionData }) => {
    const { expressionType } = subscriptionData
    if (expressionType !== 'TAG' && expressionType !== '')
      throw new Refusal(SYSTEM_ERROR, noSql(expressionType))
    return {}
  }),
]

/** @param mayWait false when it is pulled again after it has waited */
function pull(call: PullCall, request: PullMessageRequest, mayWait: boolean): PullReply | undefined {
  const { server } = call
  const { consumerGroup: group, topic, queueId, sysFlag } = request
  checkQueue(call, request)
  const matches = filterOf(server, request)
  const { reply, status } = read(server, request, matches)
  if (mayWait && (sysFlag & PULL_COMMIT_OFFSET) !== 0)
    server.offsets.commit(group, topic, queueId, request.commitOffset ?? 0n)
  if (reply.code !== PULL_NOT_FOUND || !mayWait || (sysFlag & PULL_SUSPEND) === 0)
    return { ...reply, remark: status }
  server.parked.park({
    topic,
    queueId,
    offset: request.queueOffset,
    until: server.clock.now() + Number(request.suspendTimeoutMillis ?? 0n),
    matches,
    isWanted: () => call.connection.isOpen,
    resume: () => answerLater(call, PullMessage, () => pull(call, request, false)),
  })
  return undefined
}

function checkQueue(call: PullCall, { consumerGroup, topic, queueId }: PullMessageRequest): void {
  checkConsumer(call.server, consumerGroup)
  checkReadable(call, topic, queueId, 'pulling')
}

/** @throws Refusal for a group that cannot be created, and for one that may not consume */
export function checkConsumer(server: BrokerNode, consumerGroup: string): void {
  const group = server.groupFor(consumerGroup)
  if (!group) {
    const remark = `subscription group [${consumerGroup}] does not exist, ${SEE_FAQ}`
    throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, remark)
  }
  if (!group.consumeEnable)
    throw new Refusal(NO_PERMISSION, `subscription group no permission, ${consumerGroup}`)
}

/** The settings of a topic. @throws Refusal for one that cannot be read, and for a queue that it does not have */
export function checkReadable(
  { server, connection }: PullCall,
  topic: string,
  queueId: number,
  how: string,
): TopicConfig {
  const config = server.topics.get(topic)
  if (!config) throw new Refusal(TOPIC_NOT_EXIST, noTopic(topic, ' '))
  if ((config.perm & PERM_READ) === 0)
    throw new Refusal(NO_PERMISSION, `the topic[${topic}] ${how} message is forbidden`)
  if (queueId < 0 || queueId >= config.readQueueNums)
    throw new Refusal(INVALID_PARAMETER, illegalQueue(config, queueId, connection))
  return config
}

export const illegalQueue = (
  { topicName, readQueueNums }: TopicConfig,
  queueId: number,
  { remote }: PullCall['connection'],
): string =>
  `queueId[${queueId}] is illegal, topic:[${topicName}] topicConfig.readQueueNums:[${readQueueNums}] consumer:[/${remote}]`

/** The filter of the request itself, or that of the registered consumer. */
function filterOf(server: BrokerNode, request: PullMessageRequest): Matches {
  const { consumerGroup, topic, sysFlag, subscription = '', expressionType = 'TAG' } = request
  if (sysFlag & PULL_SUBSCRIPTION) {
    if (expressionType !== 'TAG') throw new Refusal(SYSTEM_ERROR, noSql(expressionType))
    return subscription === '' ? matcher('*', []) : matcher(subscription, codesOf(subscription))
  }
  const consumers = server.members.consumers.get(consumerGroup)
  if (!consumers) throw new Refusal(SUBSCRIPTION_NOT_EXIST, `the consumer's group info not exist${SEE_FAQ}`)
  const data = consumers.subscriptions.get(topic)
  if (!data) throw new Refusal(SUBSCRIPTION_NOT_EXIST, `the consumer's subscription not exist${SEE_FAQ}`)
  if (data.subVersion < (request.subVersion ?? 0n))
    throw new Refusal(SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest")
  if (data.expressionType !== 'TAG' && data.expressionType !== '')
    throw new Refusal(SYSTEM_ERROR, noSql(data.expressionType))
  return matcher(data.subString, data.codeSet)
}

/** Blanks between separators are no tags, and match nothing; separators alone are refused (upstream FilterAPI). */
export function codesOf(expression: string): number[] {
  try {
    return parseTagExpression(expression).codes
  } catch (cause) {
    if (!/^\|+$/.test(expression)) return []
    const refusal = new Refusal(SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
    refusal.cause = cause
    throw refusal
  }
}

/** Only a bare `*` means every message. */
export function matcher(expression: string, codes: readonly number[]): Matches {
  if (expression === '*') return () => true
  const set = new Set(codes)
  return (tag) => set.has(tag)
}

/** The answer's code for what was read; a queue without messages moves every other offset to 0. */
function codeOf(status: ReadStatus, offset: bigint): number {
  switch (status) {
    case 'FOUND':
      return SUCCESS
    case 'NO_MATCHED_MESSAGE':
      return PULL_RETRY_IMMEDIATELY
    case 'OFFSET_OVERFLOW_ONE':
      return PULL_NOT_FOUND
    case 'NO_MESSAGE_IN_QUEUE':
      return offset === 0n ? PULL_NOT_FOUND : PULL_OFFSET_MOVED
    default:
      return PULL_OFFSET_MOVED
  }
}

function read(
  server: BrokerNode,
  request: PullMessageRequest,
  matches: Matches,
): { reply: PullReply; status: string } {
  const { consumerGroup, topic, queueId, queueOffset, maxMsgNums } = request
  const queue = server.store.queue(topic, queueId)
  const header = (next: bigint): PullMessageResponse => ({
    suggestWhichBrokerId: 0n,
    nextBeginOffset: next,
    minOffset: BigInt(queue?.min ?? 0),
    maxOffset: BigInt(queue?.max ?? 0),
    topicSysFlag: server.topics.get(topic)?.topicSysFlag ?? 0,
    groupSysFlag: server.groups.get(consumerGroup)?.groupSysFlag ?? 0,
  })
  const reset = server.offsets.takeReset(consumerGroup, topic, queueId)
  if (reset !== undefined)
    return { status: 'OFFSET_RESET', reply: { code: PULL_OFFSET_MOVED, header: header(reset) } }
  const { status, next, records } = server.store.read(topic, queueId, queueOffset, maxMsgNums, matches)
  server.counts.got += records.length
  server.offsets.setPulled(consumerGroup, topic, queueId, BigInt(next))
  const reply: PullReply = { code: codeOf(status, queueOffset), header: header(BigInt(next)) }
  if (records.length > 0) reply.body = Buffer.concat(records)
  return { status, reply }
}
