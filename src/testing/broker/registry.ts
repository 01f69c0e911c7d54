/** What a name server knows: the brokers that are up and the topics they have registered (upstream RouteInfoManager). */
import type { ClusterInfo, TopicRouteData } from '../../commands/route.ts'
import type { TopicConfig } from '../../commands/topics.ts'

export class Registry {
  readonly clusterName: string
  readonly #brokers = new Map<string, string>()
  readonly #topics = new Map<string, Map<string, TopicConfig>>()

  constructor(clusterName: string) {
    this.clusterName = clusterName
  }

  addBroker(brokerName: string, address: string): void {
    this.#brokers.set(brokerName, address)
  }

  /** With all that it has registered, as when its connection breaks. */
  removeBroker(brokerName: string): void {
    this.#brokers.delete(brokerName)
    for (const [topic, brokers] of this.#topics) {
      brokers.delete(brokerName)
      if (brokers.size === 0) this.#topics.delete(topic)
    }
  }

  /** Of a broker that is up; one that is not registers its topics when it starts. */
  register(brokerName: string, config: TopicConfig): void {
    if (!this.#brokers.has(brokerName)) return
    const { topicName } = config
    const brokers = this.#topics.get(topicName) ?? new Map<string, TopicConfig>()
    this.#topics.set(topicName, brokers.set(brokerName, config))
  }

  deleteTopic(topic: string): void {
    this.#topics.delete(topic)
  }

  get topics(): string[] {
    return [...this.#topics.keys()]
  }

  route(topic: string): TopicRouteData | undefined {
    const brokers = this.#topics.get(topic)
    if (!brokers) return undefined
    return {
      queueDatas: [...brokers].map(([brokerName, { readQueueNums, writeQueueNums, perm, topicSysFlag }]) => ({
        brokerName,
        readQueueNums,
        writeQueueNums,
        perm,
        topicSysFlag,
      })),
      brokerDatas: [...brokers.keys()].map((brokerName) => this.#brokerData(brokerName)),
    }
  }

  cluster(): ClusterInfo {
    const names = [...this.#brokers.keys()]
    return {
      brokerAddrTable: new Map(names.map((name) => [name, this.#brokerData(name)])),
      clusterAddrTable: new Map([[this.clusterName, names]]),
    }
  }

  #brokerData(brokerName: string): TopicRouteData['brokerDatas'][number] {
    const address = this.#brokers.get(brokerName)
    return {
      cluster: this.clusterName,
      brokerName,
      brokerAddrs: new Map(address === undefined ? [] : [[0, address]]),
      enableActingMaster: false,
    }
  }
}
