/**
 * The delivery suite on Apache RocketMQ 5.5.0: Apache's Java producer is the source, mqadmin the judge and the administrator.
 * All cases share two brokers; the one that kills a broker comes last.
 */
import { after } from 'node:test'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { contention } from './contention.ts'
import type { Cluster } from './context.ts'
import { startCluster } from './rocketmq-cluster.ts'
import { delivery } from './suite.ts'

if (await realBrokerAvailable()) {
  let shared: Promise<Cluster & { stop(): Promise<void> }> | undefined
  after(async () => await (await shared)?.stop())
  const open = (): Promise<Cluster> => (shared ??= startCluster())
  delivery(open)
  contention(open)
}
