/**
 * MessageQueue (upstream common.message.MessageQueue) and the tables keyed by it, whose keys are JSON objects on the
 * wire: `{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:5}}` (protocol.md 1.5).
 */
import { parseFastjson } from '../wire/fastjson.ts'
import { entries, int, object, orElse, type Read, text } from './json.ts'

/** One queue of a topic. `brokerName` is the name of the replica set, not an address. */
export interface MessageQueue {
  topic: string
  brokerName: string
  queueId: number
}

/** The entries of a table keyed by MessageQueue, in the order of the wire. */
export type QueueTable<T> = readonly (readonly [queue: MessageQueue, value: T])[]

export const readMessageQueue: Read<MessageQueue> = /* @__PURE__ */ object<MessageQueue>({
  topic: text,
  brokerName: text,
  queueId: int,
})

/** Only the three fields: other members of a caller's object are not sent. */
export const writeMessageQueue = ({ topic, brokerName, queueId }: MessageQueue): MessageQueue => ({
  topic,
  brokerName,
  queueId,
})

/** An absent table is an empty one. */
export const readQueueTable =
  <T>(read: Read<T>): Read<[MessageQueue, T][]> =>
  (value, path) =>
    orElse(entries(read), {})(value, path).map(([key, member]) => [
      readMessageQueue(parseFastjson(key), `key ${key.slice(0, 80)}`),
      member,
    ])

export const writeQueueTable = <T>(table: QueueTable<T>): ReadonlyMap<MessageQueue, T> =>
  new Map(table.map(([queue, value]) => [writeMessageQueue(queue), value]))
