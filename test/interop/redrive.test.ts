/** A redrive that is killed half way, on Apache RocketMQ: what is lost, and what comes twice. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  createClient,
  createGroupAdmin,
  createPullConsumer,
  createTopicAdmin,
  deadLetterTopic,
} from '../../src/index.ts'
import { until } from '../conformance/context.ts'
import { broughtAbout, runCommand, startCommand } from '../support/command-line.ts'
import { killMessages, numbered } from '../support/dead-letters.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const COUNT = 10_000
const available = await realBrokerAvailable()

describe('dlq redrive on RocketMQ 5.5.0', { skip: !available }, () => {
  it('has its progress on every broker that has letters, also where the group is on some of them', async () => {
    await using rocketmq = await startRocketMQ({
      brokers: [{ name: 'broker-a' }, { name: 'broker-b' }],
      settings: { autoCreateSubscriptionGroup: false, waitTimeMillsInSendQueue: 20_000 },
    })
    const client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 20_000 })
    const groups = createGroupAdmin(client)
    await groups.create('billing')
    for (const brokerName of ['broker-a', 'broker-b']) {
      const topic = `on-${brokerName}`
      await createTopicAdmin(client).create(topic, { readQueueNums: 1 }, { brokerName })
      await until('a route', () => client.route(topic, client.deadline()))
      await killMessages(client, 'billing', topic, numbered(2))
    }
    await until(
      'the dead letters',
      async () =>
        (await createTopicAdmin(client).stats(deadLetterTopic('billing'))).queues.filter(
          ({ maxOffset }) => maxOffset === 2n,
        ).length === 2,
    )
    await groups.create('billing_redrive', {}, { brokerName: 'broker-a' })

    const { code, stdout } = await runCommand(['dlq', 'redrive', 'billing', '--yes', '--json'], {
      environment: { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers, ROCKETMQ_TIMEOUT_MS: '20000' },
    })

    const { byTopic, left } = JSON.parse(stdout) as { byTopic: unknown; left: number }
    const brokers = (await groups.describe('billing_redrive')).map(({ brokerName }) => brokerName)
    await client.close()
    deepStrictEqual(
      [code, byTopic, left, brokers],
      [0, { 'on-broker-a': 2, 'on-broker-b': 2 }, 0, ['broker-a', 'broker-b']],
    )
  })

  it('loses none and repeats none but the batch in flight when it is killed and run again', async () => {
    // A lease that was left behind ends after two seconds, not after a minute; and a busy machine is no reason to refuse.
    await using rocketmq = await startRocketMQ({
      jvm: ['-Drocketmq.broker.rebalance.lockMaxLiveTime=2000'],
      settings: { waitTimeMillsInSendQueue: 20_000 },
    })
    const environment = { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers }
    const client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000 })
    await createTopicAdmin(client).create('orders', { readQueueNums: 1 })
    await until('a route', () => client.route('orders', client.deadline()))
    await killMessages(client, 'billing', 'orders', numbered(COUNT))
    const progress = createPullConsumer(client, { consumerGroup: 'billing_redrive' })
    const [queue] = await progress.queues(deadLetterTopic('billing'))
    ok(queue)
    await until('the dead letters', async () => (await progress.maxOffset(queue)) === BigInt(COUNT))

    const first = startCommand(['dlq', 'redrive', 'billing', '--yes'], { environment })
    const isHalf = async (): Promise<boolean> => ((await progress.committedOffset(queue)) ?? 0n) >= COUNT / 2
    await broughtAbout(first, 'half of them', isHalf)
    first.child.kill('SIGKILL')
    await first.ended
    const again = await runCommand(['dlq', 'redrive', 'billing', '--yes', '--json'], { environment })

    deepStrictEqual(again.code, 0)
    const copies: string[] = []
    const [orders] = await progress.queues('orders')
    ok(orders)
    for (let offset = BigInt(COUNT); ; ) {
      const { messages, nextBeginOffset } = await progress.pull(orders, offset)
      if (messages.length === 0) break
      copies.push(...messages.map(({ body }) => body.toString()))
      offset = nextBeginOffset
    }
    await client.close()
    deepStrictEqual(new Set(copies).size, COUNT)
    ok(copies.length - COUNT <= 32, `${copies.length - COUNT} were sent twice`)
    const { redriven } = JSON.parse(again.stdout) as { redriven: number }
    ok(redriven <= COUNT / 2, `${redriven} in the second run`)
  })
})
