/**
 * ACK_MESSAGE 200051, CHANGE_MESSAGE_INVISIBLETIME 200053 and BATCH_ACK_MESSAGE 200151 (upstream AckMessageProcessor,
 * ChangeInvisibleTimeProcessor). What fits no open checkpoint is lost, and answered with 0 all the same.
 */
import {
  AckMessage,
  type BatchAck,
  BatchAckMessage,
  ChangeMessageInvisibleTime,
} from '../../../commands/pop.ts'
import {
  MESSAGE_ILLEGAL,
  NO_MESSAGE,
  SYSTEM_ERROR,
  TOPIC_NOT_EXIST,
} from '../../../commands/response-codes.ts'
import { ORDER_REVIVE_QUEUE, parseAckBits, popStoredTopic } from '../../../wire/pop-receipt.ts'
import type { Checkpoint } from '../checkpoints.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import { noTopic } from './names.ts'
import { REVIVE_QUEUES } from './pop-take.ts'
import { illegalQueue } from './pulls.ts'

type AckCall = Call<BrokerNode>

export const popAckHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(AckMessage, (call: AckCall, request) => {
    checkQueue(call, request)
    const { topic, queueId, offset } = request
    const { min, max } = rangeOf(call.server, topic, queueId)
    if (offset < min || offset > max) {
      const remark = `offset is illegal, key:${topic}@${queueId}, commit:${offset}, store:${min}~${max}`
      throw new Refusal(NO_MESSAGE, remark)
    }
    acknowledge(call, checkpointOf(request), offset)
    return {}
  }),

  handle(BatchAckMessage, (call: AckCall, _header, { brokerName, acks }) => {
    if (acks.length === 0) throw new Refusal(NO_MESSAGE, '')
    for (const ack of acks) acknowledgeAll(call, ack, brokerName)
    return {}
  }),

  handle(ChangeMessageInvisibleTime, (call: AckCall, request) => {
    const { server } = call
    checkQueue(call, request)
    const { topic, queueId, offset, invisibleTime, consumerGroup: group, suspend = false } = request
    const remark = 'not set any response code'
    const { min, max } = rangeOf(server, topic, queueId)
    if (offset < min || offset >= max) throw new Refusal(NO_MESSAGE, remark)
    const origin = checkpointOf(request)
    const { reviveQid } = origin
    const now = BigInt(server.clock.now())
    if (reviveQid === ORDER_REVIVE_QUEUE) {
      if (offset < (server.offsets.get(group, topic, queueId) ?? -1n))
        return { remark, header: { popTime: 0n, invisibleTime: 0n, reviveQid: 0 } }
      const { popTime } = origin
      server.popOrders.change({ topic, group, queueId }, offset, popTime, now + invisibleTime)
      return { remark, header: { popTime, invisibleTime: now + invisibleTime - popTime, reviveQid } }
    }
    server.checkpoints.acknowledge(origin, offset)
    const changed = {
      ...origin,
      startOffset: offset,
      popTime: now,
      invisibleTime,
      brokerName: server.brokerName,
    }
    // Nobody looks at what is kept in a queue that is none.
    if (reviveQid >= 0 && reviveQid < REVIVE_QUEUES) server.checkpoints.add(changed, [offset], suspend)
    return { remark, header: { popTime: now, invisibleTime, reviveQid } }
  }),
]

interface AboutMessage {
  consumerGroup: string
  topic: string
  queueId: number
  extraInfo: string
}

function checkQueue({ server, connection }: AckCall, { topic, queueId }: AboutMessage): void {
  const config = server.topics.get(topic)
  if (!config) throw new Refusal(TOPIC_NOT_EXIST, noTopic(topic, ' '))
  if (queueId < 0 || queueId >= config.readQueueNums)
    throw new Refusal(MESSAGE_ILLEGAL, illegalQueue(config, queueId, connection))
}

const rangeOf = (server: BrokerNode, topic: string, queueId: number): { min: number; max: number } =>
  server.store.queue(topic, queueId) ?? { min: 0, max: 0 }

/** Of a receipt only the first six fields are read. @throws Refusal where one of them is missing or no number */
function checkpointOf({ consumerGroup: group, topic, queueId, extraInfo }: AboutMessage): Checkpoint {
  const fields = extraInfo.split(' ')
  const [startOffset, popTime, invisibleTime, reviveQid, , brokerName] = fields
  if (brokerName === undefined) {
    const what = `getBrokerName fail, extraInfoStrs length ${fields.length}`
    throw new Refusal(SYSTEM_ERROR, `java.lang.IllegalArgumentException: ${what}`)
  }
  const number = (text = ''): bigint => {
    if (/^[+-]?\d{1,18}$/.test(text)) return BigInt(text)
    throw new Refusal(SYSTEM_ERROR, `java.lang.NumberFormatException: For input string: "${text}"`)
  }
  return {
    group,
    topic,
    queueId,
    startOffset: number(startOffset),
    popTime: number(popTime),
    invisibleTime: number(invisibleTime),
    reviveQid: Number(number(reviveQid)),
    brokerName,
  }
}

function acknowledge({ server, connection }: AckCall, checkpoint: Checkpoint, offset: bigint): void {
  const { group, topic, queueId, reviveQid, popTime } = checkpoint
  if (reviveQid !== ORDER_REVIVE_QUEUE) {
    server.checkpoints.acknowledge(checkpoint, offset)
    return
  }
  const committed = server.offsets.get(group, topic, queueId) ?? -1n
  if (offset < committed) return
  const next = server.popOrders.acknowledge({ topic, group, queueId }, offset, popTime)
  if (next === 'unknown') {
    const remark = `offset is illegal, key:${topic}@${group}@${queueId}, old:${committed}, commit:${offset}, next:-1, /${connection.remote}`
    throw new Refusal(MESSAGE_ILLEGAL, remark)
  }
  if (next === 'other-pop') return
  if (!server.offsets.isReset(group, topic, queueId)) server.offsets.commit(group, topic, queueId, next)
  if (!server.popOrders.isBlocked({ topic, group, queueId })) server.wakePops(topic, group, queueId)
}

function acknowledgeAll(call: AckCall, ack: BatchAck, brokerName: string): void {
  const { consumerGroup: group, queueId, startOffset, popTime, invisibleTime, reviveQueueId: reviveQid } = ack
  const topic = popStoredTopic(group, ack.topic, ack.retry)
  const { min, max } = rangeOf(call.server, topic, queueId)
  const checkpoint = { group, topic, queueId, startOffset, popTime, invisibleTime, reviveQid, brokerName }
  for (const bit of parseAckBits(Buffer.from(ack.bitSet).toString('base64'))) {
    const offset = startOffset + BigInt(bit)
    if (offset >= min && offset <= max) acknowledge(call, checkpoint, offset)
  }
}
