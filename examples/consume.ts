/** A function that handles the messages of a topic; a schedule starts it. */
// #region consume
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

// Name servers come from ROCKETMQ_NAMESRV_ADDR. Offsets are committed when the handler has returned.
export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', filter: 'created || paid' },
  async (event) => {
    for (const record of Object.values(event.records).flat()) {
      console.log(record.messageId, record.tag, record.json())
    }
  },
)
// #endregion consume
