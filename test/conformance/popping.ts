/** What cases of pop consumption share: a pop with its receipts, and what each acknowledgement says of one. */
import { GetMaxOffset } from '../../src/commands/offsets.ts'
import {
  AckMessage,
  type AckMessageRequest,
  ChangeMessageInvisibleTime,
  POP_INIT_MIN,
  PopMessage,
  type PopMessageRequest,
  type PopMessageResponse,
} from '../../src/commands/pop.ts'
import { decodeMessages, type StoredMessage } from '../../src/wire/message.ts'
import { popRetryTopicV1 } from '../../src/wire/names.ts'
import {
  formatPopReceipt,
  type PopReceipt,
  parsePopReceipt,
  parseStartOffsetInfo,
  popStoredTopic,
} from '../../src/wire/pop-receipt.ts'
import { type Context, until } from './context.ts'

export interface Popped {
  message: StoredMessage
  receipt: PopReceipt
}

export interface PopAnswer {
  code: number
  header: PopMessageResponse
  popped: Popped[]
}

/** One pop of all queues, which waits for nothing. */
export async function popAnswer(
  c: Context,
  topic: string,
  consumerGroup: string,
  changes: Partial<PopMessageRequest> = {},
): Promise<PopAnswer> {
  const request = {
    consumerGroup,
    topic,
    queueId: -1,
    maxMsgNums: 32,
    invisibleTime: 60_000n,
    initMode: POP_INIT_MIN,
    expType: 'TAG',
    exp: '*',
    ...changes,
  }
  const { code, header, body } = await c.call(PopMessage, request, undefined)
  const starts = parseStartOffsetInfo(header.startOffsetInfo ?? '')
  const popped = decodeMessages(body).messages.map((message) => {
    const text = message.properties['POP_CK']
    if (text !== undefined) return { message, receipt: parsePopReceipt(text) }
    const { popTime, invisibleTime, reviveQid } = header
    const { queueId, queueOffset } = message
    const ckQueueOffset = starts.get(`0@${queueId}`) ?? -1n
    const receipt = {
      ckQueueOffset,
      popTime,
      invisibleTime,
      reviveQid,
      retryFlag: '0',
      brokerName: c.brokerName,
      queueId,
      queueOffset,
    }
    return { message, receipt }
  })
  return { code, header, popped }
}

export const pop = async (
  c: Context,
  topic: string,
  group: string,
  invisibleTime = 60_000n,
): Promise<Popped[]> => (await popAnswer(c, topic, group, { invisibleTime })).popped

export const ackOf = (topic: string, consumerGroup: string, receipt: PopReceipt): AckMessageRequest => ({
  consumerGroup,
  topic: popStoredTopic(consumerGroup, topic, receipt.retryFlag),
  queueId: receipt.queueId,
  extraInfo: formatPopReceipt(receipt),
  offset: receipt.queueOffset,
})

/** Acknowledges, and gives the answer's code. */
export const ack = async (c: Context, topic: string, group: string, receipt: PopReceipt): Promise<number> =>
  (await c.call(AckMessage, ackOf(topic, group, receipt), undefined)).code

/** Changes the invisible time; gives the new receipt. */
export async function change(
  c: Context,
  topic: string,
  group: string,
  receipt: PopReceipt,
  invisibleMs: bigint,
  suspend?: boolean,
): Promise<PopReceipt> {
  const request = { ...ackOf(topic, group, receipt), invisibleTime: invisibleMs, suspend }
  const { header } = await c.call(ChangeMessageInvisibleTime, request, undefined)
  const { popTime, invisibleTime, reviveQid } = header
  return { ...receipt, ckQueueOffset: receipt.queueOffset, popTime, invisibleTime, reviveQid }
}

/** Pops until so many messages have come. */
export async function popAll(
  c: Context,
  topic: string,
  group: string,
  count: number,
  invisibleMs?: bigint,
): Promise<Popped[]> {
  const all: Popped[] = []
  return await until(`${count} messages`, async () => {
    all.push(...(await pop(c, topic, group, invisibleMs)))
    return all.length >= count ? all : undefined
  })
}

/** One pop, as soon as the retry topic has had so many messages. */
export async function popRetries(
  c: Context,
  topic: string,
  group: string,
  count: number,
  invisibleMs?: bigint,
): Promise<Popped[]> {
  const retry = { topic: popRetryTopicV1(group, topic), queueId: 0 }
  await until(`${count} messages to come back`, async () => {
    const { header } = await c.call(GetMaxOffset, retry, undefined)
    return header.offset >= BigInt(count)
  })
  return await pop(c, topic, group, invisibleMs)
}

/** A topic with these messages in one queue, in order, all of them readable. */
export async function topicWith(c: Context, ...bodies: string[]): Promise<string> {
  const topic = await c.topic()
  for (const body of bodies) await c.producer.send({ topic, body })
  await c.read(topic, bodies.length)
  return topic
}

/** Sorted. */
export const bodies = (list: readonly Popped[]): string[] =>
  list.map(({ message }) => message.body.toString()).toSorted()
