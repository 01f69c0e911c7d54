/** CONSUMER_SEND_MSG_BACK 36 (protocol.md 10; upstream ConsumerSendMsgBackRequestHeader). */
import { type Command, defineCommand, INT, LONG, STRING } from './define.ts'

export interface ConsumerSendMsgBackRequest {
  /** Commit-log offset of the consumed copy, which this broker name holds. */
  offset: bigint
  group: string
  /** Below 0: dead letter at once. 0: level 3 + the copy's reconsumeTimes. 1 to 18: that level. Higher: the last. */
  delayLevel: number
  originMsgId?: string | undefined
  /** Required here: without it a message that is due for the dead-letter topic answers code 1 and is not stored. */
  originTopic: string
  unitMode?: boolean | undefined
  /** In place of the group's retryMaxTimes (16). A copy with as many reconsumeTimes becomes a dead letter. */
  maxReconsumeTimes?: number | undefined
}

/**
 * Stores a copy of a consumed message for a later attempt of the group (`%RETRY%group`), or in its dead-letter topic
 * (`%DLQ%group`). Not idempotent: each call stores another copy. 26: unknown group. 16: the group's retries are off.
 */
export const ConsumerSendMsgBack: Command<ConsumerSendMsgBackRequest> = /* @__PURE__ */ defineCommand({
  code: 36,
  name: 'CONSUMER_SEND_MSG_BACK',
  effect: 'once',
  request: {
    offset: LONG,
    group: STRING,
    delayLevel: INT,
    originMsgId: 'string?',
    originTopic: STRING,
    unitMode: 'boolean?',
    maxReconsumeTimes: 'int?',
  },
  answers: { 26: 'create' },
})
