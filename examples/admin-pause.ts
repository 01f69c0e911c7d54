/** Pauses a consumer group at the brokers, or lets it go on: `node examples/admin-pause.ts pause`. */
import { createClient, createGroupAdmin } from 'rocketmq-lambda'

const client = createClient()
await createGroupAdmin(client).update('billing', { consumeEnable: process.argv[2] !== 'pause' })
await client.close()
