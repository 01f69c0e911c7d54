/** What one pop takes: from which queues, how far, and under which receipts (upstream PopMessageProcessor.popMsgFromTopic). */
import { POP_INIT_MIN, type PopMessageRequest, type PopMessageResponse } from '../../../commands/pop.ts'
import { popRetryTopicV1, retryTopic } from '../../../wire/names.ts'
import {
  formatMsgOffsetInfo,
  formatOrderCountInfo,
  formatPopReceipt,
  formatStartOffsetInfo,
  ORDER_REVIVE_QUEUE,
} from '../../../wire/pop-receipt.ts'
import type { BrokerNode } from '../node.ts'
import { formatProperties, readLong, readRecord, withTopic } from '../record.ts'
import type { ReadResult } from '../store.ts'
import type { Matches } from './pulls.ts'

/** Queues that Apache's broker keeps checkpoints in. */
export const REVIVE_QUEUES = 8
/** How often the retry topic comes first; otherwise it is read when there is room left. */
const RETRY_FIRST = 0.2

export interface Taken {
  header: PopMessageResponse
  records: Buffer[]
}

/** Under way: the three maps have the keys of the answer's texts. */
interface Taking {
  server: BrokerNode
  request: PopMessageRequest
  matches: Matches
  popTime: bigint
  reviveQid: number
  records: Buffer[]
  starts: Map<string, bigint>
  offsets: Map<string, bigint[]>
  counts: Map<string, number>
  rest: number
}

interface Source {
  topic: string
  queueId: number
  isRetry: boolean
}

/** Takes messages for a group: they are invisible to it from now on. */
export function takeMessages(server: BrokerNode, request: PopMessageRequest, matches: Matches): Taken {
  const { topic, consumerGroup, queueId, maxMsgNums, order: isOrder = false } = request
  const taking: Taking = {
    server,
    request,
    matches,
    popTime: BigInt(server.clock.now()),
    reviveQid: isOrder ? ORDER_REVIVE_QUEUE : Math.floor(Math.random() * REVIVE_QUEUES),
    records: [],
    starts: new Map(),
    offsets: new Map(),
    counts: new Map(),
    rest: 0,
  }
  const takeRetries = (): void => {
    const retry = popRetryTopicV1(consumerGroup, topic)
    for (const id of queueIdsOf(server, retry)) takeFrom(taking, { topic: retry, queueId: id, isRetry: true })
  }
  const isRetryFirst = Math.random() < RETRY_FIRST
  if (isRetryFirst && !isOrder) takeRetries()
  const own = queueId < 0 ? shuffled(queueIdsOf(server, topic)) : [queueId]
  for (const id of own) takeFrom(taking, { topic, queueId: id, isRetry: false })
  if (!isRetryFirst && !isOrder && taking.records.length < maxMsgNums) takeRetries()
  return { header: headerOf(taking), records: taking.records }
}

export const queueIdsOf = (server: BrokerNode, topic: string): number[] =>
  Array.from({ length: server.topics.get(topic)?.readQueueNums ?? 0 }, (_, id) => id)

/** The same order, begun anywhere. */
function shuffled(ids: readonly number[]): number[] {
  const first = Math.floor(Math.random() * ids.length)
  return [...ids.slice(first), ...ids.slice(0, first)]
}

/** Where a group reads next, or would begin; nothing is decided by asking. */
export const nextOffset = (server: BrokerNode, group: string, topic: string, queueId: number): bigint =>
  server.offsets.get(group, topic, queueId) ?? BigInt(server.store.queue(topic, queueId)?.min ?? 0)

function takeFrom(taking: Taking, source: Source): void {
  const { server, request, matches, records } = taking
  const { consumerGroup: group, attemptId, order: isOrder = false, maxMsgNums } = request
  const { topic, queueId } = source
  let offset = startOf(taking, source)
  if (isOrder && server.popOrders.isBlocked({ topic, group, queueId }, attemptId)) return
  const { max = 0 } = server.store.queue(topic, queueId) ?? {}
  const room = maxMsgNums - records.length
  if (room <= 0) {
    taking.rest += max - Number(offset)
    return
  }
  const read = (): ReadResult => server.store.read(topic, queueId, offset, room, matches)
  let result = read()
  if (result.status === 'OFFSET_TOO_SMALL' || result.status === 'OFFSET_OVERFLOW_BADLY') {
    offset = BigInt(result.next)
    server.offsets.commit(group, topic, queueId, offset)
    result = read()
  }
  taking.rest += max - result.next
  if (result.records.length > 0) give(taking, source, offset, result)
  else if (result.status === 'NO_MATCHED_MESSAGE')
    server.offsets.commit(group, topic, queueId, BigInt(result.next))
}

/** Where this pop reads on. A group without an offset begins, and that is committed; a reset counts from here on. */
function startOf({ server, request }: Taking, { topic, queueId }: Source): bigint {
  const { consumerGroup: group, initMode } = request
  const reset = server.offsets.takeReset(group, topic, queueId)
  if (reset !== undefined) server.popOrders.forget({ topic, group, queueId })
  const known = reset ?? server.offsets.get(group, topic, queueId)
  if (known !== undefined && reset === undefined) return known
  const { min = 0, max = 0 } = server.store.queue(topic, queueId) ?? {}
  // From the end only in a queue that is not whole any more, and then with its last message.
  const isFirst = initMode === POP_INIT_MIN || min <= 0 || topic.startsWith(retryTopic(''))
  const start = known ?? BigInt(isFirst ? min : max - 1)
  server.offsets.commit(group, topic, queueId, start)
  return start
}

/** What was read goes into the answer, and is invisible: under a checkpoint, or in order. */
function give(taking: Taking, source: Source, startOffset: bigint, { records, next }: ReadResult): void {
  const { server, request, popTime, reviveQid } = taking
  const { consumerGroup: group, invisibleTime, attemptId, order: isOrder = false } = request
  const { topic, queueId, isRetry } = source
  const { brokerName } = server
  const offsets = records.map((record) => BigInt(readLong(record, 20)))
  const flag = isRetry ? '1' : '0'
  server.counts.got += records.length
  if (isOrder) {
    const order = { popTime, invisibleTime, attemptId }
    const counts = server.popOrders.popped({ topic, group, queueId }, order, offsets)
    for (const [offset, count] of counts) taking.counts.set(`${flag}@qo${queueId}%${offset}`, count)
    const fewest = counts.size < offsets.length ? 0 : Math.min(...counts.values())
    taking.counts.set(`${flag}@${queueId}`, fewest)
    server.offsets.commit(group, topic, queueId, startOffset)
  } else {
    const checkpoint = { group, topic, queueId, startOffset, popTime, invisibleTime, reviveQid, brokerName }
    server.checkpoints.add(checkpoint, offsets)
    server.offsets.commit(group, topic, queueId, BigInt(next))
  }
  taking.starts.set(`${flag}@${queueId}`, startOffset)
  taking.offsets.set(`${flag}@${queueId}`, offsets)
  for (const [index, record] of records.entries()) {
    const receipt = {
      ckQueueOffset: startOffset,
      popTime,
      invisibleTime,
      reviveQid,
      retryFlag: flag,
      brokerName,
      queueId,
      queueOffset: offsets[index] as bigint,
    }
    taking.records.push(isRetry ? asRetry(record, request.topic, formatPopReceipt(receipt)) : record)
  }
}

/** A message of the retry topic comes under its own topic, and with its receipt. */
function asRetry(record: Buffer, topic: string, receipt: string): Buffer {
  const { properties } = readRecord(record)
  properties['POP_CK'] ??= receipt
  return withTopic(record, topic, formatProperties(properties))
}

function headerOf(taking: Taking): PopMessageResponse {
  const { popTime, reviveQid, request, starts, offsets, counts, rest } = taking
  const header: PopMessageResponse = {
    popTime,
    invisibleTime: request.invisibleTime,
    reviveQid,
    restNum: BigInt(rest),
  }
  if (starts.size === 0) return header
  header.startOffsetInfo = formatStartOffsetInfo(starts)
  header.msgOffsetInfo = formatMsgOffsetInfo(offsets)
  if (request.order === true) header.orderCountInfo = formatOrderCountInfo(counts)
  return header
}
