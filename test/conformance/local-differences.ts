/** What the local broker does not do: it stands here and in docs/testing.md, and nowhere else. */

const NO_TRANSACTIONS = 'half messages are refused, as with rejectTransactionMessage'
const NO_POP = 'pop is not there: code 3'

/** Name of a case → why the local broker fails it. */
export const differences: Readonly<Record<string, string>> = {
  'a half message is delivered once it is committed': NO_TRANSACTIONS,
  'a half message that is rolled back is never delivered': NO_TRANSACTIONS,
  'every commit that arrives delivers another copy': NO_TRANSACTIONS,
  'an end with the wrong group or offset is refused with code 1': NO_TRANSACTIONS,
  'a broker asks a registered member of the producer group, and delivers on its answer': NO_TRANSACTIONS,
  'popped messages are invisible to the next pop, and the answer says where each stands': NO_POP,
  'what is acknowledged, one by one or in a batch, does not come back; the rest does, as a retry': NO_POP,
  'a longer time makes a new receipt': NO_POP,
  'an offset outside the queue cannot be acknowledged, nor can more than 32 be popped': NO_POP,
}

/** Commands without a handler, or that never succeed: END_TRANSACTION; POP_MESSAGE, ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, BATCH_ACK_MESSAGE. */
export const unanswered: readonly number[] = [37, 200_050, 200_051, 200_053, 200_151]
