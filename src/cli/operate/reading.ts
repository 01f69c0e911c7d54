/**
 * Messages as they lie in queues, for those who only look: read for a group that every broker has and that commits nothing, so that no
 * group is made, and no offset of any is touched.
 */
import type { Client } from '../../client/client.ts'
import { createPullConsumer, type PullConsumer } from '../../client/puller.ts'
import type { Message } from '../../client/values.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { RouteError } from '../../errors.ts'
import type { UndecodableMessage } from '../../wire/message.ts'

/** mqadmin's own. */
const READER_GROUP = 'TOOLS_CONSUMER'
const UNKNOWN_TOPIC = 17
const MOST_MESSAGES = 32
/** Queues that are read at the same time. */
const AT_ONCE = 8

export interface Reader {
  /** The readable queues of a topic. @throws RouteError with responseCode 17 when there is none */
  queues(topic: string): Promise<MessageQueue[]>
  minOffset(queue: MessageQueue): Promise<bigint>
  maxOffset(queue: MessageQueue): Promise<bigint>
  /** Of the first message stored at or after a time. */
  searchOffset(queue: MessageQueue, timestamp: number): Promise<bigint>
  /** At most so many messages, from an offset on. */
  read(queue: MessageQueue, from: bigint, count: number): Promise<ReadMessages>
}

export interface ReadMessages {
  messages: readonly Message[]
  undecodable: readonly UndecodableMessage[]
}

/** For that group, which is in no namespace. */
export const createLooker = (client: Client): PullConsumer => {
  const wrap: Client['wrap'] = (name) => (name === READER_GROUP ? name : client.wrap(name))
  return createPullConsumer({ ...client, wrap }, { consumerGroup: READER_GROUP })
}

export const createReader = (client: Client): Reader => {
  const consumer = createLooker(client)
  return {
    queues: (topic) => consumer.queues(topic),
    minOffset: (queue) => consumer.minOffset(queue),
    maxOffset: (queue) => consumer.maxOffset(queue),
    searchOffset: (queue, timestamp) => consumer.searchOffset(queue, timestamp),
    async read(queue, from, count) {
      const read = { messages: [] as Message[], undecodable: [] as UndecodableMessage[] }
      let offset = from
      while (read.messages.length < count) {
        const maxMessages = Math.min(MOST_MESSAGES, count - read.messages.length)
        const { status, messages, undecodable, nextBeginOffset } = await consumer.pull(queue, offset, {
          maxMessages,
        })
        read.messages.push(...messages)
        read.undecodable.push(...undecodable)
        if (status === 'NO_NEW_MESSAGE' || nextBeginOffset === offset) break
        // The beginning of the queue may have gone meanwhile; its end has nothing more.
        if (status === 'OFFSET_MOVED' && nextBeginOffset < offset) break
        offset = nextBeginOffset
      }
      return read
    },
  }
}

/** The same for all of them, some at a time. */
export async function inTurns<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += AT_ONCE)
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(run))))
  return results
}

/** Nothing for a topic that is not there. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  return await answer.catch((error: unknown) => {
    if (error instanceof RouteError && error.responseCode === UNKNOWN_TOPIC) return undefined
    throw error
  })
}
