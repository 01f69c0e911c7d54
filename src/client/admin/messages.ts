/**
 * Looking messages up: 33 by offset id, 12 by key and by UNIQ_KEY (protocol.md 7, 16; upstream MQAdminImpl.queryMessage). The index
 * of a broker is by hash and gives the newest first, so what it gives is compared and sorted here; it is up to a second behind.
 */
import { QueryMessage, type QueryMessageRequest, ViewMessageById } from '../../commands/messages.ts'
import { BrokerError, type ProtocolError } from '../../errors.ts'
import type { CallOptions, Deadline } from '../../net/deadline.ts'
import { checkInt, checkText, checkTime, refuse } from '../../wire/checks.ts'
import { decodeMessages } from '../../wire/message.ts'
import { decodeOffsetMessageId } from '../../wire/message-id.ts'
import { checkTopicName } from '../../wire/names.ts'
import type { Client } from '../client.ts'
import { checkKeys } from '../options.ts'
import { type Message, messageOf } from '../values.ts'
import { callMaster, findBrokers, readEach } from './masters.ts'

export interface QueryOptions extends CallOptions {
  /** Stored at or after this time, a Date or epoch ms. @default the beginning */
  from?: Date | number | undefined
  /** Stored at or before this time. @default now */
  to?: Date | number | undefined
  /** The newest ones, at most so many. @default 64 */
  maxMessages?: number | undefined
}

export interface MessageQuery {
  /**
   * The one copy that an offset message id is of; undefined when it is not there any more. The id must lead to a registered
   * broker, and by `allowedAddresses`. @param topic brokers with access control want it
   */
  byOffsetId(
    offsetMessageId: string,
    options?: CallOptions & { topic?: string | undefined },
  ): Promise<Message | undefined>
  /** Messages of a topic with this key, oldest first. @throws RouteError with responseCode 17 for an unknown topic */
  byKey(topic: string, key: string, options?: QueryOptions): Promise<Message[]>
  /**
   * All copies with this message id (UNIQ_KEY) in a topic, oldest first: more than one after repeated sends. Copies in the retry and
   * dead-letter topics of a group are found there. @throws as `byKey`
   */
  byMessageId(topic: string, messageId: string, options?: QueryOptions): Promise<Message[]>
}

/**
 * @example
 * const [message] = await createMessageQuery(client).byKey('orders', 'order-1')
 */
export const createMessageQuery = (client: Client): MessageQuery => {
  const readMessages = (bytes: Buffer, brokerName: string): Message[] => {
    const { messages, undecodable } = decodeMessages(bytes)
    const reason: ProtocolError | undefined = undecodable[0]?.reason
    if (reason) throw reason
    return messages.map((each) => messageOf(each, brokerName, client.unwrap))
  }

  const query = async (
    topic: string,
    request: Pick<QueryMessageRequest, 'key' | '_UNIQUE_KEY_QUERY'>,
    isMeant: (message: Message) => boolean,
    options: QueryOptions,
  ): Promise<Message[]> => {
    checkKeys('a query', options, ['from', 'to', 'maxMessages', 'signal', 'deadlineMs'])
    checkTopicName(topic)
    const { maxMessages = 64 } = options
    const from = checkTime('from', options.from ?? 0)
    const to = checkTime('to', options.to ?? Date.now() + CLOCK_SKEW_MS)
    const deadline = client.deadline(options)
    const whole = {
      ...request,
      topic: client.wrap(topic),
      maxNum: checkInt('maxMessages', maxMessages, 1, 1024),
      beginTimestamp: BigInt(from),
      endTimestamp: BigInt(to),
    }
    const answers = await readEach(`topic ${topic}`, await mastersOf(topic, deadline), async (master) => {
      const { body } = await callMaster(client, master, QueryMessage, whole, undefined, deadline, topic)
      return readMessages(body, master.brokerName)
    })
    // Brokers go by the hash of the key, and by times in whole seconds.
    const found = answers
      .flatMap(({ value }) => value)
      .filter(
        (each) => each.queue.topic === topic && each.storeTimestamp >= from && each.storeTimestamp <= to,
      )
      .filter(isMeant)
    return found.toSorted(byAge).slice(-maxMessages)
  }

  const mastersOf = async (
    topic: string,
    deadline: Deadline,
  ): Promise<{ brokerName: string; address: string }[]> => {
    const route = await client.route(topic, deadline)
    // A replica where there is no master: it has the index as well.
    return [...route.brokers.keys()].map((brokerName) => ({
      brokerName,
      address: client.routes.address(route, brokerName, MASTER),
    }))
  }

  return {
    async byOffsetId(offsetMessageId, { topic, ...limits } = {}) {
      checkText('offsetMessageId', offsetMessageId)
      if (topic !== undefined) checkTopicName(topic)
      const { address, commitLogOffset } = placeOf(offsetMessageId)
      const deadline = client.deadline(limits)
      const owner = (await findBrokers(client, deadline)).find(({ brokerAddrs }) =>
        [...brokerAddrs.values()].includes(address),
      )
      // An id may come from anybody: nothing is sent where no broker of ours is.
      if (!owner)
        refuse(
          'offsetMessageId',
          `is of ${address}, where no broker is registered; look by message id or key`,
        )
      const request = { offset: commitLogOffset, topic: topic === undefined ? undefined : client.wrap(topic) }
      const place = { address: client.addresses.rewrite(address) }
      try {
        const { body } = await callMaster(client, place, ViewMessageById, request, undefined, deadline, topic)
        return readMessages(body, owner.brokerName)[0]
      } catch (error) {
        if (error instanceof BrokerError && /can not find message/.test(error.remark)) return undefined
        throw error
      }
    },

    byKey: async (topic, key, options = {}) =>
      await query(topic, { key: checkText('key', key) }, ({ keys }) => keys.includes(key), options),

    byMessageId: async (topic, messageId, options = {}) =>
      await query(
        topic,
        { key: checkText('messageId', messageId), _UNIQUE_KEY_QUERY: true },
        (message) => message.messageId === messageId,
        options,
      ),
  }
}

const byAge = (a: Message, b: Message): number =>
  a.storeTimestamp - b.storeTimestamp || Number(a.commitLogOffset - b.commitLogOffset)

const placeOf = (id: string): ReturnType<typeof decodeOffsetMessageId> => {
  try {
    return decodeOffsetMessageId(id)
  } catch (cause) {
    return refuse('offsetMessageId', (cause as Error).message, { cause })
  }
}

const MASTER = 0
/** A broker's clock may be ahead of this one. */
const CLOCK_SKEW_MS = 60_000
