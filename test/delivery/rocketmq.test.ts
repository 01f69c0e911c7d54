/**
 * The delivery suite on Apache RocketMQ 5.5.0: Apache's Java producer is the source, mqadmin the judge and the administrator.
 * All cases share two brokers; the one that kills a broker comes last.
 */
import { after } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startJavaClient } from '../support/rocketmq/interop.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'
import { contention } from './contention.ts'
import type { Cluster } from './context.ts'
import { delivery } from './suite.ts'

if (await realBrokerAvailable()) {
  let shared: Promise<Cluster & { stop(): Promise<void> }> | undefined
  after(async () => await (await shared)?.stop())
  const open = (): Promise<Cluster> => (shared ??= startCluster())
  delivery(open)
  contention(open)
}

async function startCluster(): Promise<Cluster & { stop(): Promise<void> }> {
  // A slow machine is no reason to refuse: brokers clean requests out of their queue after 200 ms.
  const settings = { waitTimeMillsInSendQueue: 20_000, enablePropertyFilter: true }
  const rocketmq = await startRocketMQ({ brokers: [{}, {}], settings })
  const java = await startJavaClient(rocketmq.nameServers)
  return {
    nameServers: rocketmq.nameServers,
    addresses: Object.fromEntries(rocketmq.brokers.map(({ name, address }) => [name, address])),
    hasSql92: true,
    async send(topic, bodies, queue) {
      for (const body of bodies) await java.send({ topic, body, ...(queue && { queue }) })
    },
    async progress(group, topic) {
      const text = await rocketmq.mqadmin('consumerProgress', '-g', group, '-t', topic)
      const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
      return Object.fromEntries(
        rows
          .filter(([name]) => name === topic)
          .map(([, broker = '', id = '', end = '', committed = '']) => [`${broker}/${id}`, [end, committed]]),
      )
    },
    async reset(group, topic, timestamp) {
      const about = ['-g', group, '-t', topic, '-s', String(timestamp), '-f', 'true']
      await rocketmq.mqadmin('resetOffsetByTime', ...about)
    },
    async crash(brokerName) {
      const broker = rocketmq.brokers.find(({ name }) => name === brokerName)
      await broker?.restart({ kill: true })
    },
    pass: async (ms) => await wait(Math.max(0, ms)),
    async stop() {
      await java.stop()
      await rocketmq.stop()
    },
  }
}
