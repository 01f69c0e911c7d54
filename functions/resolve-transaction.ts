/**
 * What `check-transactions` answers when a broker asks what became of a transaction. It goes by the property `resolve` of the
 * message, `commit` or `rollback`, and leaves all others open, which shows what each answer does: replace it by your own, which
 * looks into your database. docs/transactions.md says what it must be.
 */
import type { Resolve } from '../src/client/checker.ts'

export const resolveTransaction: Resolve = async ({ messageId, topic, properties }, { checks }) => {
  const { resolve } = properties
  const answer = resolve === 'commit' || resolve === 'rollback' ? resolve : 'unknown'
  console.log(JSON.stringify({ message: 'transaction', messageId, topic, checks, answer }))
  return answer
}
