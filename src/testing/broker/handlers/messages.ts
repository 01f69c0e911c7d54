/** QUERY_MESSAGE 12 and VIEW_MESSAGE_BY_ID 33 (upstream QueryMessageProcessor). */
import { QueryMessage, type QueryMessageRequest, ViewMessageById } from '../../../commands/messages.ts'
import { QUERY_NOT_FOUND, SYSTEM_ERROR } from '../../../commands/response-codes.ts'
import { decodeProperties } from '../../../wire/properties.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import { propertiesOf, readLong, readStoreTimestamp } from '../record.ts'

type MessageCall = Call<BrokerNode>

const MOST_BYTES = 1 << 20

export const messageHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(QueryMessage, ({ server }: MessageCall, request) => {
    const records = find(server, request)
    const [last] = records
    if (!last) {
      const none = { indexLastUpdateTimestamp: '0', indexLastUpdatePhyoffset: '0' }
      throw new Refusal(QUERY_NOT_FOUND, 'can not find message, maybe time range not correct', none)
    }
    return {
      header: {
        indexLastUpdateTimestamp: BigInt(readStoreTimestamp(last)),
        indexLastUpdatePhyoffset: BigInt(readLong(last, 28)),
      },
      body: Buffer.concat(records),
    }
  }),

  handle(ViewMessageById, ({ server }: MessageCall, { offset }) => {
    const record = server.store.record(Number(offset))
    if (!record) throw new Refusal(SYSTEM_ERROR, `can not find message by the offset, ${offset}`)
    return { body: record }
  }),
]

/** Looks through the topic, the newest first: there is no index, because a query is rare and an index as large as the messages. */
function find(server: BrokerNode, request: QueryMessageRequest): Buffer[] {
  const { topic, key, beginTimestamp, endTimestamp, maxNum, indexType } = request
  const found: Buffer[] = []
  let bytes = 0
  for (const record of [...server.store.records(topic)].reverse()) {
    const storedAt = readStoreTimestamp(record)
    if (storedAt < beginTimestamp || storedAt > endTimestamp) continue
    if (!hasKey(propertiesOf(record), key, indexType)) continue
    if (found.length > 0 && (found.length >= maxNum || bytes + record.length > MOST_BYTES)) break
    found.push(record)
    bytes += record.length
  }
  return found
}

function hasKey(properties: Buffer, key: string, indexType: string | undefined): boolean {
  if (!properties.includes(key)) return false
  const { UNIQ_KEY, KEYS = '', TAGS } = decodeProperties(properties.toString())
  if (indexType === 'T') return TAGS === key
  return UNIQ_KEY === key || KEYS.split(' ').includes(key)
}
