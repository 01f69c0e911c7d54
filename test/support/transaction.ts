/** A transaction as `begin` gives it, for what never asks a broker about it. */
import type { Transaction } from '../../src/index.ts'

export const TRANSACTION: Transaction = {
  version: 1,
  producerGroup: 'shop',
  topic: 'orders',
  messageId: 'ORDER-1',
  brokerName: 'broker-a',
  queueOffset: '0',
  commitLogOffset: '0',
  begunAt: 1_800_000_000_000,
}
