/** Two brokers of Apache RocketMQ, with Apache's Java producer as the source and mqadmin as judge and administrator. */
import { setTimeout as wait } from 'node:timers/promises'
import { startJavaClient } from '../support/rocketmq/interop.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'
import type { Cluster } from './context.ts'

/** A slow machine is no reason to refuse: brokers clean requests out of their queue after 200 ms. */
export const SETTINGS = { waitTimeMillsInSendQueue: 20_000, enablePropertyFilter: true } as const

export async function startCluster(): Promise<Cluster & { stop(): Promise<void> }> {
  const rocketmq = await startRocketMQ({ brokers: [{}, {}], settings: SETTINGS })
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
