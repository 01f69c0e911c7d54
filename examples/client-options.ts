/** A client with options in place of the environment. */
// #region options
import { readFile } from 'node:fs/promises'
import { createClient, templates } from 'rocketmq-lambda'

const client = createClient({
  ...templates.warm,
  nameServers: ['10.0.0.5:9876', '10.0.0.6:9876'],
  credentials: async () => JSON.parse(await readFile('credentials.json', 'utf8')),
  tls: { ca: await readFile('ca.pem') },
  allowedAddresses: ['10.0.0.0/16'],
  timeoutMs: 2_000,
})
// #endregion options

await client.close()
