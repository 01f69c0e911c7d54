/** What there is: clusters, brokers, addresses, 106, and the settings of brokers, 26 (protocol.md 2, 16; upstream ClusterListSubCommand). */
import { GetBrokerConfig } from '../../commands/broker.ts'
import type { CallOptions } from '../../net/deadline.ts'
import type { Client } from '../client.ts'
import {
  callMaster,
  checkWhere,
  chooseMasters,
  findBrokers,
  type Master,
  readEach,
  type Where,
} from './masters.ts'

export interface BrokerDescription {
  brokerName: string
  /** By broker id, which is text as it is a key: 0 is the master, others are replicas. As registered, without `addressMap`. */
  addresses: Readonly<Record<string, string>>
  /** A replica may act for a master that is away. */
  enableActingMaster: boolean
}

export interface ClusterDescription {
  cluster: string
  /** By name. */
  brokers: readonly BrokerDescription[]
}

/** The settings of one master. */
export interface BrokerConfig extends Master {
  config: Readonly<Record<string, string>>
}

export interface ClusterAdmin {
  /** Every cluster and broker that is registered, by name. */
  describe(options?: CallOptions): Promise<ClusterDescription[]>
  /** The settings that masters run with, by the names of broker.conf; all values are text. Needs a permission for the cluster. */
  config(where?: Where): Promise<BrokerConfig[]>
}

/**
 * @example
 * for (const { cluster, brokers } of await createClusterAdmin(client).describe()) console.log(cluster, brokers)
 */
export const createClusterAdmin = (client: Client): ClusterAdmin => ({
  async describe(limits) {
    const brokers = await findBrokers(client, client.deadline(limits))
    const byCluster = Map.groupBy(brokers, ({ cluster }) => cluster)
    return [...byCluster.keys()].toSorted().map((cluster) => ({
      cluster,
      brokers: (byCluster.get(cluster) ?? []).map(
        ({ brokerName, brokerAddrs, enableActingMaster = false }) => ({
          brokerName,
          addresses: Object.fromEntries(brokerAddrs),
          enableActingMaster,
        }),
      ),
    }))
  },

  async config(where = {}) {
    checkWhere('config', where)
    const deadline = client.deadline(where)
    const masters = await chooseMasters(client, where, deadline, true)
    const answers = await readEach('the settings', masters, (master) =>
      callMaster(client, master, GetBrokerConfig, {}, undefined, deadline),
    )
    return answers.map(({ value, ...master }) => ({ ...master, config: value.body }))
  },
})
