/**
 * END_TRANSACTION 37 and CHECK_TRANSACTION_STATE 39 (protocol.md 12; upstream EndTransactionRequestHeader and
 * CheckTransactionStateRequestHeader). A half message is an ordinary send with the property TRAN_MSG=true.
 */
import { bytesBody, type Command, defineCommand, INT, LONG, type NoFields, STRING } from './define.ts'

export interface EndTransactionRequest {
  /** Brokers with access control check it. */
  topic?: string | undefined
  /** Must be the PGROUP of the half message. */
  producerGroup: string
  /** Offset in the half queue: queueOffset of the send's answer, or of the check. */
  tranStateTableOffset: bigint
  /** From the offset message id of the send's answer, or of the check. */
  commitLogOffset: bigint
  /**
   * `TRANSACTION_COMMIT` or `TRANSACTION_ROLLBACK` of `./wire`. 0, not decided, and any other value get no answer, two-way
   * or not: send them one-way or not at all.
   */
  commitOrRollback: number
  /** True when this answers a CHECK_TRANSACTION_STATE. The broker's default is false. */
  fromTransactionCheck?: boolean | undefined
  /** UNIQ_KEY. Always give it: brokers that check the declared fields refuse a request without. */
  msgId?: string | undefined
  transactionId?: string | undefined
  bname?: string | undefined
}

/**
 * Commits or rolls back a half message, on the master of the broker name that stored it. Not idempotent: every commit that
 * arrives delivers another copy. 1: wrong group or offsets, or no such half message. 11: sent to a replica. 604: later than
 * the message's own immunity time allows; the next check decides.
 */
export const EndTransaction: Command<EndTransactionRequest> = /* @__PURE__ */ defineCommand({
  code: 37,
  name: 'END_TRANSACTION',
  effect: 'once',
  request: {
    topic: 'string?',
    producerGroup: STRING,
    tranStateTableOffset: LONG,
    commitLogOffset: LONG,
    commitOrRollback: INT,
    fromTransactionCheck: 'boolean?',
    msgId: 'string?',
    transactionId: 'string?',
    bname: 'string?',
  },
  answers: { 11: 'refresh-route' },
})

export interface CheckTransactionStateRequest {
  /** The half topic, not the message's own. */
  topic?: string | undefined
  /** Offset of this check's copy: every check stores the half message anew. */
  tranStateTableOffset: bigint
  commitLogOffset: bigint
  /** UNIQ_KEY. */
  msgId?: string | undefined
  transactionId?: string | undefined
  offsetMsgId?: string | undefined
  /** The broker name to answer to. */
  bname?: string | undefined
}

/**
 * A broker asks a member of a producer group what became of a transaction; the body is the half message, stored under its
 * real topic. Never answered itself: the answer is an END_TRANSACTION with these offsets and fromTransactionCheck.
 */
export const CheckTransactionState: Command<CheckTransactionStateRequest, NoFields, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 39,
    name: 'CHECK_TRANSACTION_STATE',
    to: 'client',
    effect: 'read',
    oneway: true,
    request: {
      topic: 'string?',
      tranStateTableOffset: LONG,
      commitLogOffset: LONG,
      msgId: 'string?',
      transactionId: 'string?',
      offsetMsgId: 'string?',
      bname: 'string?',
    },
    requestBody: bytesBody,
  })
