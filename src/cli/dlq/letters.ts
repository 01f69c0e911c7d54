/** The dead letters of a consumer group: where they are, whether they can be read, and what each says of its origin (protocol.md 10). */
import { setTimeout as delay } from 'node:timers/promises'
import { createGroupAdmin, noGroup } from '../../client/admin/groups.ts'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import type { Client } from '../../client/client.ts'
import { type Message, messageOf } from '../../client/values.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { PERM_READ } from '../../commands/route.ts'
import { AuthError, RouteError } from '../../errors.ts'
import { isUnknownTopic } from '../../routing/name-servers.ts'
import { decodeStored, type UndecodableMessage } from '../../wire/message.ts'
import { checkGroupName, deadLetterTopic, retryTopic } from '../../wire/names.ts'

/** How often a dead letter has been redriven, on the copy that was sent. */
export const REDRIVE_COUNT = 'REDRIVE_COUNT'

export interface DeadLetterQueues {
  topic: string
  /** None as long as nothing has died. */
  queues: readonly MessageQueue[]
}

/**
 * The queues that hold the dead letters of a group. Creates nothing.
 * @param makeReadable gives a write-only topic perm 6 first
 * @throws BrokerError with responseCode 26 when there is no such group, RouteError when the topic is write-only
 */
export async function findDeadLetters(
  client: Client,
  consumerGroup: string,
  makeReadable = false,
): Promise<DeadLetterQueues> {
  const topic = deadLetterTopic(checkGroupName(consumerGroup))
  const writeOnly = await writeOnlyBrokers(client, topic)
  if (writeOnly === undefined) {
    await checkGroup(client, consumerGroup)
    return { topic, queues: [] }
  }
  if (writeOnly.length > 0) {
    if (!makeReadable)
      throw new RouteError(
        `${topic} is write-only on ${writeOnly.join(', ')}: give --fix-permission, which makes it readable (perm 6)`,
        { topic },
      )
    for (const brokerName of writeOnly)
      await createTopicAdmin(client).update(topic, { perm: 6 }, { brokerName })
    await readable(client, topic)
    console.error(`${topic} can be read now (perm 6).`)
  }
  const route = await client.route(topic, client.deadline())
  return { topic, queues: route.readable.map((queue) => ({ ...queue, topic })) }
}

/** The brokers on which a topic cannot be read; undefined when there is no such topic. Brokers of 4.x may have made dead-letter topics like that. */
async function writeOnlyBrokers(client: Client, topic: string): Promise<string[] | undefined> {
  try {
    const { queueDatas } = await createTopicAdmin(client).route(topic)
    return queueDatas.filter(({ perm }) => !(perm & PERM_READ)).map(({ brokerName }) => brokerName)
  } catch (error) {
    if (isUnknownTopic(error)) return undefined
    throw error
  }
}

/** Tells a group without dead letters from a wrong name, where that is permitted. */
async function checkGroup(client: Client, consumerGroup: string): Promise<void> {
  try {
    if (!(await createGroupAdmin(client).list()).includes(consumerGroup)) noGroup(consumerGroup)
  } catch (error) {
    if (!(error instanceof AuthError)) throw error
  }
}

/** Brokers tell the name servers of a change at once, and yet a moment later. */
async function readable(client: Client, topic: string): Promise<void> {
  const deadline = client.deadline()
  while ((await writeOnlyBrokers(client, topic))?.length !== 0)
    await delay(50, undefined, { signal: AbortSignal.timeout(Math.max(1, deadline.at - Date.now())) })
}

/** A message of a dead-letter topic. */
export interface Letter {
  message: Message
  /** `broker-a/0@17`: broker, queue and offset. */
  place: string
  /** The topic that it was published to, when it says so. */
  originTopic: string | undefined
  /** How often it has been redriven. */
  redrives: number
}

export function letterOf(client: Client, consumerGroup: string, message: Message): Letter {
  const { queue, queueOffset, properties } = message
  return {
    message,
    place: placeOf(queue, queueOffset),
    originTopic: originOf(client, consumerGroup, message),
    redrives: Math.max(0, Math.trunc(Number(properties[REDRIVE_COUNT]))) || 0,
  }
}

/** A message of a dead-letter topic that cannot be decoded. */
export interface BrokenLetter {
  /** Absent when not even its place can be read. */
  place: string | undefined
  reason: string
  /** Where all but the body can be read, with the body as it is stored. */
  message: Message | undefined
  undecodable: UndecodableMessage
}

export function brokenLetterOf(
  client: Client,
  queue: MessageQueue,
  undecodable: UndecodableMessage,
): BrokenLetter {
  const { queueOffset, reason, bytes } = undecodable
  const stored = decodeStored(bytes)
  return {
    place: queueOffset === undefined ? undefined : placeOf(queue, queueOffset),
    reason: reason.message,
    message: stored && messageOf(stored, queue.brokerName, client.unwrap),
    undecodable,
  }
}

export const placeOf = ({ brokerName, queueId }: MessageQueue, offset: bigint): string =>
  `${brokerName}/${queueId}@${offset}`

/** What was popped before it died may name a retry topic, which ends with the original one. */
function originOf(client: Client, consumerGroup: string, { systemProperties }: Message): string | undefined {
  const topic = systemProperties['RETRY_TOPIC'] ?? systemProperties['DLQ_ORIGIN_TOPIC']
  if (topic === undefined) return undefined
  const retry = client.wrap(retryTopic(consumerGroup))
  const isPopped = topic.startsWith(`${retry}+`) || topic.startsWith(`${retry}_`)
  return client.unwrap(isPopped ? topic.slice(retry.length + 1) : topic)
}
