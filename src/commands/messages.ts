/** QUERY_MESSAGE 12 and VIEW_MESSAGE_BY_ID 33 (protocol.md 16; upstream QueryMessageRequestHeader, ViewMessageRequestHeader). */
import { bytesBody, type Command, defineCommand, INT, LONG, type NoFields, STRING } from './define.ts'

export interface QueryMessageRequest {
  topic: string
  /** One of the message's KEYS, or its UNIQ_KEY. The index is by hash: compare what comes back. */
  key: string
  maxNum: number
  /** Epoch ms of the store time. */
  beginTimestamp: bigint
  endTimestamp: bigint
  /** 5.5 and later: K (keys), U (UNIQ_KEY) or T (tag). */
  indexType?: string | undefined
  /** 5.5 and later: where the last query ended. */
  lastKey?: string | undefined
  /** `key` is a UNIQ_KEY. */
  _UNIQUE_KEY_QUERY?: boolean | undefined
}

export interface QueryMessageResponse {
  /** Epoch ms of the last indexed message; the index is up to a second behind. Not needed with code 22. */
  indexLastUpdateTimestamp?: bigint
  indexLastUpdatePhyoffset?: bigint
}

/** Messages with a key, as stored messages in the body. 22: none. */
export const QueryMessage: Command<QueryMessageRequest, QueryMessageResponse, undefined, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 12,
    name: 'QUERY_MESSAGE',
    effect: 'read',
    request: {
      topic: STRING,
      key: STRING,
      maxNum: INT,
      beginTimestamp: LONG,
      endTimestamp: LONG,
      indexType: 'string?',
      lastKey: 'string?',
      _UNIQUE_KEY_QUERY: 'boolean?',
    },
    response: { indexLastUpdateTimestamp: 'long?', indexLastUpdatePhyoffset: 'long?' },
    responseBody: bytesBody,
    answers: { 22: 'empty' },
  })

export interface ViewMessageRequest {
  /** Brokers with access control check it. */
  topic?: string | undefined
  /** Commit-log offset, the end of an offset message id. */
  offset: bigint
}

/** The one stored message at a commit-log offset of this broker. 1: no message starts there. */
export const ViewMessageById: Command<ViewMessageRequest, NoFields, undefined, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 33,
    name: 'VIEW_MESSAGE_BY_ID',
    effect: 'read',
    request: { topic: 'string?', offset: LONG },
    responseBody: bytesBody,
  })
