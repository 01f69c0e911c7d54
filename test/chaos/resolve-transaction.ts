/** In place of functions/resolve-transaction.ts: what is to become of a transaction stands in its message. */
import type { Resolve } from '../../src/client/checker.ts'

export const resolveTransaction: Resolve = async ({ properties }) =>
  properties['fate'] === 'commit' ? 'commit' : 'rollback'
