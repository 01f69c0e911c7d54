/**
 * In place of functions/handle-records.ts: writes a line of the ledger when it begins with a record and one when it is done. Some
 * fail the first time, in groups that send back.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { RecordHandler } from '../../src/lambda/event-source.ts'

const MOST_MS = 8
const FAILS_EVERY = 40
const { GROUP: group = '', FAILS: fails } = process.env

export const handleRecords: RecordHandler = async (event, { awsRequestId: invocation }) => {
  const batchItemFailures: { itemIdentifier: string }[] = []
  for (const record of Object.values(event.records).flat()) {
    const { n, key } = record.json() as { n: number; key: string }
    const { recordId, sourceTopic, brokerName, queueId, messageId, offset, reconsumeTimes } = record
    const tell = (what: 'start' | 'end' | 'fail'): void => {
      const at = performance.timeOrigin + performance.now()
      const queue = `${sourceTopic}/${brokerName}/${queueId}`
      console.log(
        JSON.stringify({
          kind: 'record',
          group,
          what,
          invocation,
          pid: process.pid,
          queue,
          offset: Number(offset),
          messageId,
          key,
          at,
        }),
      )
    }
    tell('start')
    await wait(n % MOST_MS)
    if (fails && n % FAILS_EVERY === 0 && reconsumeTimes === 0) {
      batchItemFailures.push({ itemIdentifier: recordId })
      tell('fail')
    } else tell('end')
  }
  return { batchItemFailures }
}
