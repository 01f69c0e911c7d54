/** Offsets of groups and ends of queues: 14, 15, 29, 30, 31, 222 (upstream ConsumerManageProcessor, AdminBrokerProcessor). */
import { InvokeBrokerToResetOffset, type ResetOffsetRequest } from '../../../commands/consumer-requests.ts'
import {
  GetMaxOffset,
  GetMinOffset,
  OFFSET_RESET_REMARK,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from '../../../commands/offsets.ts'
import {
  QUERY_NOT_FOUND,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  SYSTEM_ERROR,
  TOPIC_NOT_EXIST,
} from '../../../commands/response-codes.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'

type OffsetCall = Call<BrokerNode>

const NOT_FOUND = 'Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first'
const NOT_FOUND_NO_ZERO = 'Not found, do not set to zero, maybe this group boot first'

export const offsetHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(QueryConsumerOffset, ({ server }: OffsetCall, request) => {
    const { consumerGroup, topic, queueId, setZeroIfNotFound } = request
    const offset = server.offsets.get(consumerGroup, topic, queueId)
    if (offset !== undefined && offset >= 0n) return { header: { offset } }
    if (setZeroIfNotFound === false) throw new Refusal(QUERY_NOT_FOUND, NOT_FOUND_NO_ZERO)
    const queue = server.store.queue(topic, queueId)
    if (queue && queue.min === 0 && queue.max > 0) return { header: { offset: 0n } }
    throw new Refusal(QUERY_NOT_FOUND, NOT_FOUND)
  }),

  handle(UpdateConsumerOffset, ({ server }: OffsetCall, request) => {
    const { consumerGroup, topic, queueId, commitOffset } = request
    if (!server.topics.get(topic)) throw new Refusal(TOPIC_NOT_EXIST, `Topic ${topic} not exist!`)
    if (!server.groups.has(consumerGroup))
      throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${consumerGroup} not exist!`)
    if (server.offsets.isReset(consumerGroup, topic, queueId)) return { remark: OFFSET_RESET_REMARK }
    server.offsets.commit(consumerGroup, topic, queueId, commitOffset)
    return {}
  }),

  handle(SearchOffsetByTimestamp, ({ server }: OffsetCall, { topic, queueId, timestamp, boundaryType }) => {
    const isUpper = boundaryType?.toLowerCase() === 'upper'
    return { header: { offset: BigInt(server.store.search(topic, queueId, Number(timestamp), isUpper)) } }
  }),

  handle(GetMaxOffset, ({ server }: OffsetCall, { topic, queueId }) => ({
    header: { offset: BigInt(server.store.queue(topic, queueId)?.max ?? 0) },
  })),

  handle(GetMinOffset, ({ server }: OffsetCall, { topic, queueId }) => ({
    header: { offset: BigInt(server.store.queue(topic, queueId)?.min ?? 0) },
  })),

  handle(InvokeBrokerToResetOffset, ({ server }: OffsetCall, request) => {
    const { topic, group, queueId = -1 } = request
    const config = server.topics.get(topic)
    if (!config) throw new Refusal(TOPIC_NOT_EXIST, `Topic ${topic} does not exist`)
    if (!server.groups.has(group))
      throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`)
    const queueIds = queueId >= 0 ? [queueId] : Array.from({ length: config.readQueueNums }, (_, id) => id)
    const offsetTable = queueIds.map((id) => {
      const offset = targetOf(server, request, id)
      server.offsets.reset(group, topic, id, offset)
      return [{ topic, brokerName: server.brokerName, queueId: id }, offset] as const
    })
    return { body: { offsetTable } }
  }),
]

/** The offset that one queue is reset to: the one that was asked for, or that of the time; a negative time is the end. */
function targetOf(server: BrokerNode, request: ResetOffsetRequest, queueId: number): bigint {
  const { topic, offset, timestamp } = request
  const { min = 0, max = 0 } = server.store.queue(topic, queueId) ?? {}
  if ((request.queueId ?? -1) >= 0 && offset !== undefined && offset !== -1n) {
    if (offset < min || offset > max + 1)
      throw new Refusal(SYSTEM_ERROR, `Target offset ${offset} not in consume queue range [${min}-${max}]`)
    return offset
  }
  if (timestamp < 0n) return BigInt(max)
  return BigInt(server.store.search(topic, queueId, Number(timestamp), false))
}
