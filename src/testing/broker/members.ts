/**
 * Which clients are registered for which groups (upstream ConsumerManager, ProducerManager). A registration belongs to
 * the connection that its heartbeat came on, and ends with it.
 */
import { type ConsumerData, type HeartbeatData, NotifyConsumerIdsChanged } from '../../commands/heartbeat.ts'
import type { SubscriptionData } from '../../commands/subscription.ts'
import { FLAG_ONEWAY } from '../../wire/frame.ts'
import type { Connection } from './connection.ts'

export interface Member {
  clientId: string
  language: string
  version: number
}

export interface ConsumerGroup {
  members: Map<Connection, Member>
  subscriptions: Map<string, SubscriptionData>
  consumeType: string
  messageModel: string
  consumeFromWhere: string
}

export class Members {
  readonly consumers: Map<string, ConsumerGroup> = new Map()
  readonly producers: Map<string, Map<Connection, Member>> = new Map()
  #turn = 0

  /** @param notifies whether the members of a group are told that others come and go */
  heartbeat(
    connection: Connection,
    data: HeartbeatData,
    { language, version }: Pick<Member, 'language' | 'version'>,
    notifies: (group: string) => boolean,
  ): void {
    const member: Member = { clientId: data.clientID, language, version }
    for (const { groupName } of data.producerDataSet) {
      const members = this.producers.get(groupName) ?? new Map<Connection, Member>()
      this.producers.set(groupName, members.set(connection, member))
    }
    for (const consumer of data.consumerDataSet) {
      const group = this.#group(consumer)
      const isNew = !group.members.has(connection)
      group.members.set(connection, member)
      const isChanged = data.withoutSub !== true && subscribe(group, consumer)
      if ((isNew || isChanged) && notifies(consumer.groupName)) this.#notify(consumer.groupName)
    }
  }

  #group({ groupName, consumeType, messageModel, consumeFromWhere }: ConsumerData): ConsumerGroup {
    const known = this.consumers.get(groupName)
    const group = known ?? {
      members: new Map(),
      subscriptions: new Map(),
      consumeType,
      messageModel,
      consumeFromWhere,
    }
    Object.assign(group, { consumeType, messageModel, consumeFromWhere })
    this.consumers.set(groupName, group)
    return group
  }

  unregister(connection: Connection, producerGroup?: string, consumerGroup?: string): void {
    if (producerGroup !== undefined) this.#leave(this.producers, producerGroup, connection)
    if (consumerGroup !== undefined) this.#leaveConsumers(consumerGroup, connection)
  }

  connectionClosed(connection: Connection): void {
    for (const group of this.producers.keys()) this.#leave(this.producers, group, connection)
    for (const group of this.consumers.keys()) this.#leaveConsumers(group, connection)
  }

  #leave(table: Map<string, Map<Connection, Member>>, group: string, connection: Connection): void {
    const members = table.get(group)
    members?.delete(connection)
    if (members?.size === 0) table.delete(group)
  }

  #leaveConsumers(name: string, connection: Connection): void {
    const group = this.consumers.get(name)
    if (!group?.members.delete(connection)) return
    if (group.members.size === 0) this.consumers.delete(name)
    else this.#notify(name)
  }

  /** To all of them, the one that has come too. */
  #notify(consumerGroup: string): void {
    const { code } = NotifyConsumerIdsChanged
    for (const connection of this.consumers.get(consumerGroup)?.members.keys() ?? [])
      connection.tell({ code, flag: FLAG_ONEWAY, ext: { consumerGroup } })
  }

  /** The connection of one client of a group. */
  find(consumerGroup: string, clientId: string | undefined): Connection | undefined {
    for (const [connection, member] of this.consumers.get(consumerGroup)?.members ?? [])
      if (member.clientId === clientId) return connection
    return undefined
  }

  /** The producers of a group in turn, those of all groups counted together. */
  nextProducer(producerGroup: string): Connection | undefined {
    const open = [...(this.producers.get(producerGroup)?.keys() ?? [])].filter(({ isOpen }) => isOpen)
    return open[++this.#turn % open.length]
  }

  clear(): void {
    this.consumers.clear()
    this.producers.clear()
  }
}

/** Takes over newer subscriptions and drops those that are gone; gives whether the topics have changed. */
function subscribe(group: ConsumerGroup, { subscriptionDataSet }: ConsumerData): boolean {
  let isChanged = false
  for (const data of subscriptionDataSet) {
    const known = group.subscriptions.get(data.topic)
    if (!known || data.subVersion > known.subVersion) group.subscriptions.set(data.topic, data)
    if (!known) isChanged = true
  }
  const topics = new Set(subscriptionDataSet.map(({ topic }) => topic))
  for (const topic of group.subscriptions.keys())
    if (!topics.has(topic)) isChanged = group.subscriptions.delete(topic) || isChanged
  return isChanged
}
