/** What the local broker does not do: it stands here and in docs/testing.md, and nowhere else. */

const NO_TRANSACTIONS = 'half messages are refused, as with rejectTransactionMessage'

/** Name of a case → why the local broker fails it. */
export const differences: Readonly<Record<string, string>> = {
  'a half message is delivered once it is committed': NO_TRANSACTIONS,
  'a half message that is rolled back is never delivered': NO_TRANSACTIONS,
  'every commit that arrives delivers another copy': NO_TRANSACTIONS,
  'an end with the wrong group or offset is refused with code 1': NO_TRANSACTIONS,
  'a broker asks a registered member of the producer group, and delivers on its answer': NO_TRANSACTIONS,
}

/** Commands without a handler, or that never succeed: END_TRANSACTION. */
export const unanswered: readonly number[] = [37]
