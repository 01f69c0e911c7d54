/**
 * `npm start`: the main job, from nothing to committed offsets, on a real Apache RocketMQ that it starts itself.
 *
 * The bundled `publish` function stores messages that an HTTP API event carries, a fresh process with the bundled
 * `consume` function handles them, and Apache's own mqadmin shows the committed offsets.
 */
import { styleText } from 'node:util'
import { httpEvent, scheduledEvent } from '../src/testing/index.ts'
import { startRocketMQ } from '../test/support/rocketmq/start.ts'
import { runFunction } from '../test/support/run-function.ts'
import { bundleFunction } from './bundle.ts'

const say = (text: string): void => console.log(styleText('bold', text))

const event = httpEvent('POST', '/topics/orders/messages', {
  messages: [1, 2, 3].map((order) => ({
    body: { order },
    tag: 'created',
    keys: [`order-${order}`],
    shardingKey: 'customer-7',
  })),
})

async function main(): Promise<void> {
  say(
    'Starting Apache RocketMQ 5.5.0 (needs Java 11+ and Maven; the first time it downloads 100 MB from Maven Central)',
  )
  await using rocketmq = await start()
  const environment = { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers }
  console.log(`name server ${rocketmq.nameServers}`)

  say('\nBundling functions/publish.ts and functions/consume.ts')
  const [publish, consume] = await Promise.all([bundleFunction('publish'), bundleFunction('consume')])

  say('\nPOST /topics/orders/messages with three messages → the publish function, in a process of its own')
  const published = await runFunction(publish, event, {
    environment: { ...environment, ROCKETMQ_TOPICS: 'orders' },
  })
  if (published.error) throw new Error(`publish failed: ${published.error.message}`)
  const { statusCode, body } = published.result as { statusCode: number; body: string }
  console.dir({ statusCode, body: JSON.parse(body) }, { depth: null })
  if (statusCode !== 200) throw new Error(`publish answered ${statusCode}`)

  say('\nA schedule event → the consume function, in a fresh process')
  const sources = JSON.stringify({ orders: { topic: 'orders', consumerGroup: 'billing' } })
  const consumed = await runFunction(consume, scheduledEvent(), {
    environment: { ...environment, ROCKETMQ_EVENT_SOURCES: sources },
  })
  process.stdout.write(consumed.stdout)
  if (consumed.error) throw new Error(`consume failed: ${consumed.error.message}`)
  console.dir(consumed.result, { depth: null, compact: 4 })
  const { handled } = consumed.result as { handled: number }
  if (handled !== 3) throw new Error(`consume handled ${handled} of 3 messages`)

  say('\nThe committed offsets, as Apache’s mqadmin sees them')
  process.stdout.write(await rocketmq.mqadmin('consumerProgress', '-g', 'billing', '-t', 'orders'))
  say('\nDone: three messages published, handled and committed.')
}

async function start(): Promise<Awaited<ReturnType<typeof startRocketMQ>> & AsyncDisposable> {
  const rocketmq = await startRocketMQ()
  return Object.assign(rocketmq, { [Symbol.asyncDispose]: () => rocketmq.stop() })
}

await main()
