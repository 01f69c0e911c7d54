/** What `consume` does with each event. It writes one line for each record: replace it by your own. */
import type { RecordHandler } from '../src/lambda/event-source.ts'

export const handleRecords: RecordHandler = async (event) => {
  for (const records of Object.values(event.records)) {
    for (const { recordId, messageId, topic, tag, keys, body } of records) {
      console.log(
        JSON.stringify({ message: 'record', recordId, messageId, topic, tag, keys, bytes: body.length }),
      )
    }
  }
}
