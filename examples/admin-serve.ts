/** Answers mqadmin for a while: what the group consumes, and a message handled by hand. Needs a broker and ROCKETMQ_NAMESRV_ADDR. */
// #region serve
import { createClient, serve } from 'rocketmq-lambda'

const client = createClient()
const { consumed, resets, runningInfo } = await serve(client, {
  consumerGroup: 'billing',
  clientId: 'billing-function@1',
  subscriptions: { orders: '*' },
  windowMs: Number(process.env['WINDOW_MS'] ?? 30_000),
  handlers: {
    consumeDirectly: async (message) => {
      console.log('billing', message.keys, message.body.toString())
    },
  },
})
console.log(consumed, resets, runningInfo)
await client.close()
// #endregion serve
