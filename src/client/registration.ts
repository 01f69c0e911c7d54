/**
 * Registering groups at every master, 34, and taking that back, 35 (protocol.md 13; upstream MQClientInstance). Sending and reading
 * need none of it. A registration lasts as long as the connection, 120 s at most without another heartbeat; nothing here repeats it:
 * see `serve` and the checks of transactions, which do for as long as they take.
 */
import {
  ConsumeFromWhere,
  type ConsumerData,
  ConsumeType,
  HeartBeat,
  type HeartbeatData,
  MessageModel,
} from '../commands/heartbeat.ts'
import type { SubscriptionData } from '../commands/subscription.ts'
import type { CallOptions } from '../net/deadline.ts'
import { checkArray, checkChoice, checkObject, checkText, refuse } from '../wire/checks.ts'
import { javaHashCode } from '../wire/hash.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import { callMaster, findMasters, type Master, onEach } from './admin/masters.ts'
import type { Client } from './client.ts'
import { checkKeys } from './options.ts'
import { createMessageId } from './outgoing.ts'
import { type Filter, parseFilter } from './puller.ts'
import { unregister } from './window.ts'

/** A consumer group to be registered as a member of, by the user's names. */
export interface ConsumerRegistration {
  consumerGroup: string
  /** @default CONSUME_ACTIVELY */
  consumeType?: ConsumeType | undefined
  /** @default CLUSTERING */
  messageModel?: MessageModel | undefined
  /** @default CONSUME_FROM_LAST_OFFSET */
  consumeFromWhere?: ConsumeFromWhere | undefined
  /** Topics, with the filter of each. @default {} */
  subscriptions?: Readonly<Record<string, Filter>> | undefined
}

export interface RegistrationOptions {
  /** @default [] */
  producerGroups?: readonly string[] | undefined
  /** @default [] */
  consumers?: readonly ConsumerRegistration[] | undefined
  /** Unique among all that are connected. @default 32 random hex digits */
  clientId?: string | undefined
}

export interface Registration {
  readonly clientId: string
  /** What is sent. */
  readonly data: HeartbeatData
  /**
   * Registers at every master, or renews that. Creates the groups and their retry topics where brokers do so, and makes the other
   * members of a consumer group share its queues anew. Gives where. @throws PartialError when only some could be reached
   */
  heartbeat(options?: CallOptions): Promise<Master[]>
  /** Takes the registration back at every master. @throws as `heartbeat` */
  unregister(options?: CallOptions): Promise<Master[]>
}

/**
 * @throws ConfigError naming the option
 * @example
 * const registration = createRegistration(client, { producerGroups: ['order-service'] })
 * await registration.heartbeat()
 */
export const createRegistration = (client: Client, options: RegistrationOptions): Registration => {
  checkKeys('createRegistration', options, ['producerGroups', 'consumers', 'clientId'])
  const { producerGroups = [], consumers = [], clientId = createMessageId() } = options
  const data: HeartbeatData = {
    clientID: checkText('clientId', clientId),
    producerDataSet: checkArray('producerGroups', producerGroups).map((group) => ({
      groupName: client.wrap(checkGroupName(group, 'producerGroups')),
    })),
    consumerDataSet: checkArray('consumers', consumers).map((each) => consumerDataOf(client, each)),
  }
  if (producerGroups.length + consumers.length === 0) refuse('consumers', 'or producerGroups: name a group')
  const everywhere = async (
    what: string,
    limits: CallOptions | undefined,
    run: (master: Master, deadline: ReturnType<Client['deadline']>) => Promise<unknown>,
  ): Promise<Master[]> => {
    const deadline = client.deadline(limits)
    const masters = await findMasters(client, deadline)
    await onEach(`${what} ${clientId}`, masters, (master) => run(master, deadline))
    return masters
  }
  return {
    clientId,
    data,
    heartbeat: (limits) =>
      everywhere('registering', limits, (master, deadline) =>
        callMaster(client, master, HeartBeat, {}, data, deadline),
      ),
    unregister: (limits) =>
      everywhere('unregistering', limits, (master, deadline) => unregister(client, master, data, deadline)),
  }
}

/** As it is sent. @throws ConfigError naming the member */
export const consumerDataOf = (client: Client, consumer: ConsumerRegistration): ConsumerData => {
  checkKeys('a consumer', consumer, [
    'consumerGroup',
    'consumeType',
    'messageModel',
    'consumeFromWhere',
    'subscriptions',
  ])
  const {
    consumerGroup,
    consumeType = 'CONSUME_ACTIVELY',
    messageModel = 'CLUSTERING',
    consumeFromWhere = 'CONSUME_FROM_LAST_OFFSET',
    subscriptions = {},
  } = consumer
  return {
    groupName: client.wrap(checkGroupName(consumerGroup)),
    consumeType: checkChoice('consumeType', consumeType, ...Object.values(ConsumeType)),
    messageModel: checkChoice('messageModel', messageModel, ...Object.values(MessageModel)),
    consumeFromWhere: checkChoice('consumeFromWhere', consumeFromWhere, ...Object.values(ConsumeFromWhere)),
    subscriptionDataSet: Object.entries(checkObject('subscriptions', subscriptions)).map(([topic, filter]) =>
      subscriptionDataOf(client.wrap(checkTopicName(topic, 'subscriptions')), filter),
    ),
    unitMode: false,
  }
}

/** Brokers filter by the hash of a tag; the newest version of a subscription counts. */
const subscriptionDataOf = (topic: string, filter: Filter): SubscriptionData => {
  const { subscription, expressionType, tags = new Set<string>() } = parseFilter(filter)
  return {
    topic,
    subString: subscription,
    expressionType,
    tagsSet: [...tags],
    codeSet: [...tags].map(javaHashCode),
    subVersion: BigInt(Date.now()),
    classFilterMode: false,
  }
}
