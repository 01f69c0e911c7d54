/** What there is: clusters, brokers, addresses, 106 (protocol.md 2; upstream ClusterListSubCommand). */
import type { CallOptions } from '../../net/deadline.ts'
import type { Client } from '../client.ts'
import { findBrokers } from './masters.ts'

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

export interface ClusterAdmin {
  /** Every cluster and broker that is registered, by name. */
  describe(options?: CallOptions): Promise<ClusterDescription[]>
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
})
