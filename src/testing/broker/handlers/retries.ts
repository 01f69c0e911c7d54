/** LOCK_BATCH_MQ 41, UNLOCK_BATCH_MQ 42 and CONSUMER_SEND_MSG_BACK 36 (upstream AbstractSendMessageProcessor). */
import { LockBatchMQ, UnlockBatchMQ } from '../../../commands/locks.ts'
import {
  NO_PERMISSION,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  SYSTEM_ERROR,
} from '../../../commands/response-codes.ts'
import { PERM_WRITE } from '../../../commands/route.ts'
import { ConsumerSendMsgBack, type ConsumerSendMsgBackRequest } from '../../../commands/send-back.ts'
import { deadLetterTopic, retryTopic } from '../../../wire/names.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import { readRecord } from '../record.ts'
import { SEE_FAQ } from './names.ts'
import { V3_4_9 } from './sends.ts'

type RetryCall = Call<BrokerNode>

/** `originTopic` may be missing on the wire, and some of what it decides fails then. */
const sendBackCommand = (): typeof ConsumerSendMsgBack => ({
  ...ConsumerSendMsgBack,
  request: { ...ConsumerSendMsgBack.request, originTopic: 'string?' as 'string' },
})

export const retryHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(LockBatchMQ, ({ server }: RetryCall, _header, { consumerGroup, clientId, mqSet }) => ({
    body: { lockOKMQSet: mqSet.filter((queue) => server.locks.lock(consumerGroup, queue, clientId)) },
  })),

  handle(UnlockBatchMQ, ({ server }: RetryCall, _header, { consumerGroup, clientId, mqSet }) => {
    for (const queue of mqSet) server.locks.unlock(consumerGroup, queue, clientId)
    return {}
  }),

  handle(sendBackCommand(), (call: RetryCall, request) => {
    const { server } = call
    const { group, offset } = request
    const settings = server.groupFor(group)
    if (!settings)
      throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group not exist, ${group} ${SEE_FAQ}`)
    if (settings.retryQueueNums <= 0) return {} // and the message is lost
    const retry = server.topics.ensure(retryTopic(group), settings.retryQueueNums)
    if ((retry.perm & PERM_WRITE) === 0)
      throw new Refusal(NO_PERMISSION, `the topic[${retry.topicName}] sending message is forbidden`)
    const record = server.store.record(Number(offset))
    if (!record) throw new Refusal(SYSTEM_ERROR, `look message by offset failed, ${offset}`)
    const { properties, ...message } = readRecord(record)
    properties['RETRY_TOPIC'] ??= message.topic
    properties['WAIT'] = 'false'
    properties['ORIGIN_MESSAGE_ID'] ??= server.offsetMessageId(message.position)
    const most = attemptsOf(call, request, settings.retryMaxTimes)
    const isDead = message.reconsumeTimes >= most || request.delayLevel < 0
    // Upstream looks at the type of the original topic, and nowhere whether there is one.
    if (isDead && !request.originTopic) throw new Refusal(SYSTEM_ERROR, 'java.lang.NullPointerException')
    properties['DELAY'] = String(isDead ? 0 : request.delayLevel || 3 + message.reconsumeTimes)
    const target = isDead ? server.topics.ensure(deadLetterTopic(group), 1) : retry
    const queues = isDead ? 1 : settings.retryQueueNums
    server.put(
      {
        ...message,
        topic: target.topicName,
        queueId: Math.floor(Math.random() * queues),
        reconsumeTimes: message.reconsumeTimes + 1,
      },
      properties,
    )
    return {}
  }),
]

/** How many attempts a message has: what the consumer says counts from version 3.4.9 on. */
const attemptsOf = (
  { frame }: RetryCall,
  { maxReconsumeTimes }: Pick<ConsumerSendMsgBackRequest, 'maxReconsumeTimes'>,
  most: number,
): number => (frame.version >= V3_4_9 ? (maxReconsumeTimes ?? most) : most)
