/**
 * QUERY_CONSUMER_OFFSET 14, UPDATE_CONSUMER_OFFSET 15, SEARCH_OFFSET_BY_TIMESTAMP 29, GET_MAX_OFFSET 30 and
 * GET_MIN_OFFSET 31 (protocol.md 9; the upstream headers of the same names).
 */
import {
  bytesBody,
  type Command,
  defineCommand,
  type Fields,
  INT,
  LONG,
  type NoFields,
  STRING,
} from './define.ts'

export interface QueryConsumerOffsetRequest {
  consumerGroup: string
  topic: string
  queueId: number
  /**
   * With true, or absent on the wire, a group without an offset gets 0 as long as the queue still starts at 0 and is
   * in memory, which hides that nothing was ever committed. @default false
   */
  setZeroIfNotFound?: boolean | undefined
}

export interface QueryConsumerOffsetResponse {
  /** The next offset to read; absent with code 22, nothing committed. */
  offset?: bigint
}

/** The committed offset of a group. 22: none. After an administrator's reset it is the reset offset. */
export const QueryConsumerOffset: Command<QueryConsumerOffsetRequest, QueryConsumerOffsetResponse> =
  /* @__PURE__ */ defineCommand({
    code: 14,
    name: 'QUERY_CONSUMER_OFFSET',
    effect: 'read',
    request: { consumerGroup: STRING, topic: STRING, queueId: INT, setZeroIfNotFound: 'boolean?' },
    defaults: { setZeroIfNotFound: false },
    response: { offset: 'long?' },
    answers: { 22: 'empty' },
  })

/** Remark of an UPDATE_CONSUMER_OFFSET that answered 0 and ignored the value, because an administrator reset it. */
export const OFFSET_RESET_REMARK = 'Offset has been previously reset'

export interface UpdateConsumerOffsetRequest {
  consumerGroup: string
  topic: string
  /** Not checked: a queue that does not exist is accepted. */
  queueId: number
  /** The next offset to read. Not checked: the last writer wins, whoever it is and wherever it points. */
  commitOffset: bigint
}

/**
 * Commits an offset in the broker's memory; the broker saves it to disk every 5 s. Code 0 with
 * {@link OFFSET_RESET_REMARK} means that nothing was committed. 26: the group does not exist, and this does not create it.
 */
export const UpdateConsumerOffset: Command<UpdateConsumerOffsetRequest> = /* @__PURE__ */ defineCommand({
  code: 15,
  name: 'UPDATE_CONSUMER_OFFSET',
  effect: 'idempotent',
  request: { consumerGroup: STRING, topic: STRING, queueId: INT, commitOffset: LONG },
  answers: { 26: 'create' },
})

/** Java's own client writes capitals; brokers ignore case and take any other text as `lower`. */
export type BoundaryType = 'lower' | 'upper' | 'LOWER' | 'UPPER'

export interface SearchOffsetRequest {
  topic: string
  queueId: number
  /** Epoch ms of the store time. */
  timestamp: bigint
  /**
   * `lower`: the first message stored at or after the time, the max offset when it is later than all.
   * `upper`: the last one stored at or before it, max offset - 1 when it is later than all. The broker's default is lower.
   */
  boundaryType?: BoundaryType | undefined
}

export interface OffsetResponse {
  offset: bigint
}

const offsetResponse: Fields<OffsetResponse> = { offset: LONG }

/** The offset for a store time. */
export const SearchOffsetByTimestamp: Command<SearchOffsetRequest, OffsetResponse> =
  /* @__PURE__ */ defineCommand({
    code: 29,
    name: 'SEARCH_OFFSET_BY_TIMESTAMP',
    effect: 'read',
    request: { topic: STRING, queueId: INT, timestamp: LONG, boundaryType: 'string?' },
    response: offsetResponse,
  })

export interface GetMaxOffsetRequest {
  topic: string
  queueId: number
  /** Count only what replicas have confirmed. The broker's default is true. */
  committed?: boolean | undefined
}

/** The offset that the next message will get. An unknown topic answers 0, not an error. */
export const GetMaxOffset: Command<GetMaxOffsetRequest, OffsetResponse> = /* @__PURE__ */ defineCommand({
  code: 30,
  name: 'GET_MAX_OFFSET',
  effect: 'read',
  request: { topic: STRING, queueId: INT, committed: 'boolean?' },
  response: offsetResponse,
})

/** The first offset that the queue still has. An unknown topic answers 0, not an error. */
export const GetMinOffset: Command<{ topic: string; queueId: number }, OffsetResponse> =
  /* @__PURE__ */ defineCommand({
    code: 31,
    name: 'GET_MIN_OFFSET',
    effect: 'read',
    request: { topic: STRING, queueId: INT },
    response: offsetResponse,
  })

/** QueryTopicConsumeByWho, its body as it comes: whoever looks for one name in it needs no reader of JSON in a bundle. */
export const AskTopicConsumeByWho: Command<{ topic: string }, NoFields, undefined, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 300,
    name: 'QUERY_TOPIC_CONSUME_BY_WHO',
    effect: 'read',
    request: { topic: STRING },
    responseBody: bytesBody,
  })
