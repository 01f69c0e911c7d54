/**
 * What `consume` does with each event. It writes one line for each record, and fails those with a property `reject`, which shows
 * what becomes of a record that fails: replace it by your own.
 */
import type { RecordHandler } from '../src/lambda/event-source.ts'

export const handleRecords: RecordHandler = async (event) => {
  const batchItemFailures: { itemIdentifier: string }[] = []
  for (const records of Object.values(event.records)) {
    for (const { recordId, messageId, topic, tag, body, properties, reconsumeTimes } of records) {
      const isRejected = properties['reject'] !== undefined
      if (isRejected) batchItemFailures.push({ itemIdentifier: recordId })
      console.log(
        JSON.stringify({
          message: isRejected ? 'record rejected' : 'record',
          recordId,
          messageId,
          topic,
          tag,
          bytes: body.length,
          reconsumeTimes,
        }),
      )
    }
  }
  return { batchItemFailures }
}
