/** END_TRANSACTION 37 (upstream EndTransactionProcessor). */
import { ILLEGAL_OPERATION, SYSTEM_ERROR } from '../../../commands/response-codes.ts'
import { EndTransaction, type EndTransactionRequest } from '../../../commands/transaction.ts'
import { ProtocolError } from '../../../errors.ts'
import { TRANSACTION_COMMIT, TRANSACTION_ROLLBACK } from '../../../wire/flags.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import { readRecord, type StoredRecord } from '../record.ts'

type EndCall = Call<BrokerNode>

export const transactionHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(EndTransaction, ({ server }: EndCall, request) => {
    const { commitOrRollback } = request
    const isCommit = commitOrRollback === TRANSACTION_COMMIT
    if (commitOrRollback === 0) return undefined // and no answer
    if (!isCommit && commitOrRollback !== TRANSACTION_ROLLBACK)
      throw new ProtocolError('commitOrRollback field wrong', { field: 'commitOrRollback' })
    const half = find(server, request)
    // Looked up in the log, where it stays: whether it was ended before is not asked.
    if (isCommit) deliver(server, half)
    server.transactions.end(half.queueOffset)
    return {}
  }),
]

function find({ store, transactions, clock }: BrokerNode, request: EndTransactionRequest): StoredRecord {
  const refuse = (remark: string): never => {
    throw new Refusal(SYSTEM_ERROR, remark)
  }
  const record = store.record(Number(request.commitLogOffset))
  if (!record) return refuse('Find prepared transaction message failed')
  const half = readRecord(record)
  const { PGROUP } = half.properties
  const immunityMs = transactions.immunityMs(half.properties)
  const isLate = immunityMs !== undefined && clock.now() - Number(half.bornTimestamp) > immunityMs
  if (isLate && request.fromTransactionCheck !== true) throw new Refusal(ILLEGAL_OPERATION, '')
  if (PGROUP === undefined) refuse('java.lang.NullPointerException')
  if (PGROUP !== request.producerGroup) refuse('The producer group wrong')
  if (BigInt(half.queueOffset) !== request.tranStateTableOffset)
    refuse('The transaction state table offset wrong')
  return half
}

function deliver(server: BrokerNode, half: StoredRecord): void {
  const { properties: own, position, queueOffset: _, storeTimestamp: __, ...message } = half
  const { REAL_TOPIC: topic = '', REAL_QID: queueId, ...properties } = own
  const sysFlag = (message.sysFlag & ~TRANSACTION_ROLLBACK) | TRANSACTION_COMMIT
  server.put(
    { ...message, topic, queueId: Number(queueId), sysFlag, preparedTransactionOffset: position },
    properties,
  )
}
