/** RECALL_MESSAGE 370 (protocol.md 15; upstream RecallMessageRequestHeader): takes a timer message back before its time. */
import { type Command, defineCommand, STRING } from './define.ts'

export interface RecallMessageRequest {
  producerGroup?: string | undefined
  topic: string
  /** From the send's answer (`parseRecallHandle` of `./wire`). Goes to the broker that it names. */
  recallHandle: string
}

export interface RecallMessageResponse {
  /** UNIQ_KEY of the message that was recalled. */
  msgId: string
}

/**
 * Timer messages only. 16: the broker does not allow it (recallMessageEnable is off by default). 604: the handle is
 * malformed, for another topic or broker, or its time has come. 11: sent to a replica.
 */
export const RecallMessage: Command<RecallMessageRequest, RecallMessageResponse> =
  /* @__PURE__ */ defineCommand({
    code: 370,
    name: 'RECALL_MESSAGE',
    effect: 'idempotent',
    request: { producerGroup: 'string?', topic: STRING, recallHandle: STRING },
    response: { msgId: STRING },
    answers: { 11: 'refresh-route', 604: 'fix' },
  })
