/** A cold start of the client alone: one message, acknowledged. */
import { createClient, createProducer } from '../../src/index.ts'

const { nameServer, topic } = JSON.parse(process.argv[2] ?? '')
const client = createClient({ nameServers: nameServer })
const producer = createProducer(client, { producerGroup: 'bench' })
await producer.send({ topic, body: 'x'.repeat(1024), tag: 'bench', keys: 'k-1' })
process.stdout.write('done')
await client.close()
