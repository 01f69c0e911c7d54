/** What a redrive does with each dead letter, decided before anything is sent. */
import type { Client } from '../../client/client.ts'
import type { OutgoingMessage } from '../../client/outgoing.ts'
import type { Message, PullResult } from '../../client/values.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { AuthError, RocketMQError } from '../../errors.ts'
import { isUnknownTopic } from '../../routing/name-servers.ts'
import { brokenLetterOf, type Letter, letterOf, placeOf, REDRIVE_COUNT } from './letters.ts'
import { isSelected, type Selection } from './selection.ts'

/** A letter that was not sent, though it was meant. */
export interface Problem {
  place: string
  messageId?: string
  reason: string
}

export interface Decision {
  offset: bigint
  kind: 'send' | 'notSelected' | 'refused' | 'failed'
  /** Epoch ms; absent of what cannot be read. */
  diedAt?: number
  /** Of what is sent. */
  letter?: Letter
  topic?: string
  /** Of what is refused or has failed. */
  problem?: Problem
}

export interface Rules {
  consumerGroup: string
  selection: Selection
  /** @default the original topic of each */
  to?: string | undefined
  /** A letter that was redriven so often is not sent again. */
  maxRedrives: number
}

/** One decision for each letter of a pull before `end`, in the order of their offsets. */
export async function decisionsOf(
  client: Client,
  rules: Rules,
  queue: MessageQueue,
  { messages, undecodable }: Pick<PullResult, 'messages' | 'undecodable'>,
  end: bigint,
  now: number,
): Promise<Decision[]> {
  const broken = undecodable.map((each): Decision => {
    const { queueOffset = end } = each
    const { reason, message } = brokenLetterOf(client, queue, each)
    const problem = {
      place: placeOf(queue, queueOffset),
      ...(message ? { messageId: message.messageId } : {}),
      reason: `cannot be decoded: ${reason}`,
    }
    return { offset: queueOffset, kind: 'failed', problem }
  })
  const decided = messages.map((message) => decide(client, rules, message, now))
  const sorted = [...decided, ...broken]
    .filter(({ offset }) => offset < end)
    .toSorted((a, b) => Number(a.offset - b.offset))
  return await Promise.all(sorted.map((each) => unlessMissing(client, each)))
}

function decide(client: Client, rules: Rules, message: Message, now: number): Decision {
  const { consumerGroup, selection, to, maxRedrives } = rules
  const letter = letterOf(client, consumerGroup, message)
  const { place, redrives, originTopic } = letter
  const about = { offset: message.queueOffset, diedAt: message.storeTimestamp, letter }
  const problem = (reason: string): Problem => ({ place, messageId: message.messageId, reason })
  if (!isSelected(letter, selection, now)) return { ...about, kind: 'notSelected' }
  if (redrives >= maxRedrives)
    return { ...about, kind: 'refused', problem: problem(`was redriven ${redrives} times before`) }
  const topic = to ?? originTopic
  if (topic === undefined)
    return { ...about, kind: 'failed', problem: problem('does not say its topic: give --to <topic>') }
  return { ...about, kind: 'send', topic }
}

/** A send would create the topic, where brokers do that. */
async function unlessMissing(client: Client, decision: Decision): Promise<Decision> {
  const { kind, topic, letter } = decision
  if (kind !== 'send' || topic === undefined || !letter) return decision
  try {
    await client.route(topic, client.deadline())
    return decision
  } catch (error) {
    if (!isUnknownTopic(error)) throw error
    return { ...decision, kind: 'failed', problem: problemOf(letter, error) }
  }
}

export const problemOf = ({ place, message }: Letter, error: unknown): Problem => ({
  place,
  messageId: message.messageId,
  reason: (error as Error).message,
})

/** What is sent: under the same message id, so that those who have seen it recognise it. */
export function copyOf(
  client: Client,
  consumerGroup: string,
  { message, redrives }: Letter,
  topic: string,
): OutgoingMessage {
  const { body, tag, keys, flag, messageId, systemProperties } = message
  const { ORIGIN_GROUP, ...properties } = message.properties
  // A broker's own note on what was popped; anything else is the user's.
  const isNote = ORIGIN_GROUP === undefined || ORIGIN_GROUP === client.wrap(consumerGroup)
  const kept = isNote ? properties : { ...properties, ORIGIN_GROUP }
  return {
    ...{ topic, body, tag, keys, flag, messageId },
    shardingKey: systemProperties['__SHARDINGKEY'],
    properties: { ...kept, [REDRIVE_COUNT]: String(redrives + 1) },
  }
}

/** Whether the same letter would fail again, and certainly was not stored. */
export const isForGood = (error: unknown): boolean =>
  RocketMQError.is(error) && !error.retryable && error.outcome !== 'unknown' && !(error instanceof AuthError)
