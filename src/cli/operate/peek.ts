/** `rocketmq-lambda peek`: messages of a topic, by place, time, key or id. */
import { isUtf8 } from 'node:buffer'
import { createMessageQuery } from '../../client/admin/messages.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../client/values.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { ConfigError } from '../../errors.ts'
import type { UndecodableMessage } from '../../wire/message.ts'
import type { ChosenQueue } from '../arguments.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { age, bold, dim, oneLine, printable, printJson, timestamp } from '../output.ts'
import { createReader, inTurns, type Reader } from './reading.ts'

export interface PeekOptions extends ConnectionOptions {
  tail?: number
  offset?: bigint
  /** Epoch ms. */
  from?: number
  key?: string
  id?: string
  queue?: ChosenQueue
  limit: number
  maxBody: number
}

const OFFSET_MESSAGE_ID = /^([0-9A-F]{32}|[0-9A-F]{56})$/i
const NEWEST = 10
/** Fields of a query, as arguments. */
const NAMES = { key: '--key', messageId: '--id' }

export async function runPeek(topic: string, options: PeekOptions): Promise<void> {
  await withClient(options, async (client) => {
    const found = await messagesOf(client, topic, options).catch(naming(NAMES))
    for (const message of found) {
      if (options.json) printJson({ ...message.toJSON(), text: textOf(message.body) })
      else for (const line of linesOf(message, options.maxBody)) console.log(line)
    }
    if (found.length > 0) return
    if (options.key !== undefined || options.id !== undefined)
      throw new Error(
        `no message of ${topic} has ${options.key === undefined ? `id ${options.id}` : `key ${options.key}`}; ` +
          'brokers find it up to a second after it was stored, and until it is deleted',
      )
    if (!options.json)
      console.log(`No message there: ${topic} has none${options.from || options.offset ? ' so late' : ''}.`)
  })
}

async function messagesOf(client: Client, topic: string, options: PeekOptions): Promise<Message[]> {
  const { key, id, queue, limit } = options
  if (key !== undefined || id !== undefined) {
    const found = await lookUp(client, topic, options)
    return found.filter((message) => isIn(message.queue, queue)).slice(-limit)
  }
  const reader = createReader(client)
  const queues = await chooseQueues(reader, topic, queue)
  return options.offset !== undefined || options.from !== undefined
    ? await readFrom(reader, queues, options)
    : await readTail(reader, queues, options.tail ?? NEWEST)
}

async function lookUp(
  client: Client,
  topic: string,
  { key, id = '', limit }: PeekOptions,
): Promise<Message[]> {
  const query = createMessageQuery(client)
  const options = { maxMessages: Math.min(limit, 1_024) }
  if (key !== undefined) return await query.byKey(topic, key, options)
  const copies = await query.byMessageId(topic, id, options)
  // Both kinds of ids look alike.
  if (copies.length > 0 || !OFFSET_MESSAGE_ID.test(id)) return copies
  const one = await query.byOffsetId(id, { topic }).catch((error: unknown) => {
    if (error instanceof ConfigError) return undefined
    throw error
  })
  return one && one.queue.topic === topic ? [one] : []
}

/** @throws ConfigError for a queue that is not there */
export async function chooseQueues(
  { queues }: Pick<Reader, 'queues'>,
  topic: string,
  chosen: ChosenQueue | undefined,
): Promise<MessageQueue[]> {
  const all = await queues(topic)
  const own = all.filter((queue) => isIn(queue, chosen))
  if (chosen && own.length === 0) {
    const names = all.map(({ brokerName, queueId }) => `${brokerName}/${queueId}`)
    throw new ConfigError('--queue', `${topic} has ${names.join(', ') || 'no queue to read'}`)
  }
  return own
}

const isIn = ({ brokerName, queueId }: MessageQueue, chosen: ChosenQueue | undefined): boolean =>
  !chosen || (queueId === chosen.queueId && brokerName === (chosen.brokerName ?? brokerName))

async function readFrom(
  reader: Reader,
  queues: readonly MessageQueue[],
  { offset, from = 0, limit }: PeekOptions,
): Promise<Message[]> {
  let first: Message[] = []
  await inTurns(queues, async (queue) => {
    const start = offset ?? (await reader.searchOffset(queue, from))
    const read = await reader.read(queue, start, limit)
    for (const each of read.undecodable) warnOf(queue, each)
    first = [...first, ...read.messages].toSorted(byAge).slice(0, limit)
  })
  return first
}

async function readTail(reader: Reader, queues: readonly MessageQueue[], count: number): Promise<Message[]> {
  let last: Message[] = []
  await inTurns(queues, async (queue) => {
    const [min, max] = await Promise.all([reader.minOffset(queue), reader.maxOffset(queue)])
    const start = max - BigInt(count) > min ? max - BigInt(count) : min
    const read = await reader.read(queue, start, Number(max - start))
    for (const each of read.undecodable) warnOf(queue, each)
    last = [...last, ...read.messages].toSorted(byAge).slice(-count)
  })
  return last
}

const byAge = (a: Message, b: Message): number =>
  a.storeTimestamp - b.storeTimestamp || Number(a.queueOffset - b.queueOffset)

function warnOf(queue: MessageQueue, { queueOffset, reason }: UndecodableMessage): void {
  console.error(printable(`${nameOf(queue)} at ${queueOffset ?? '?'} cannot be read: ${reason.message}`))
}

const nameOf = ({ topic, brokerName, queueId }: MessageQueue): string => `${topic}/${brokerName}/${queueId}`

function linesOf(message: Message, maxBody: number): string[] {
  const { queue, queueOffset, storeTimestamp, tag, keys, messageId, reconsumeTimes, properties } = message
  const facts = [
    ['id', messageId],
    ['tag', tag],
    ['keys', keys.join(' ')],
    ['attempts', reconsumeTimes > 0 ? `sent back ${reconsumeTimes} times` : undefined],
    ...Object.entries(properties).map(([name, value]) => [`property ${name}`, value]),
  ].filter(([, value]) => value !== undefined && value !== '')
  return [
    `${bold(oneLine(`${nameOf(queue)} at ${queueOffset}`))}  ${timestamp(storeTimestamp)}, ${age(Date.now() - storeTimestamp)} ago`,
    ...facts.map(([name = '', value = '']) => `${dim(`${oneLine(name)}:`)} ${oneLine(value)}`),
    ...bodyOf(message.body, maxBody),
    '',
  ]
}

/** As text where it is text, JSON indented. */
function bodyOf(body: Buffer, maxBody: number): string[] {
  const text = textOf(body)
  const shown = text === undefined ? body.toString('base64') : indented(text)
  const rest = shown.length - maxBody
  return [
    ...(text === undefined ? [dim(`${body.length} bytes that are no text, as base64:`)] : []),
    printable(shown.slice(0, maxBody)),
    ...(rest > 0 ? [dim(`… ${rest} more characters: --max-body ${shown.length}`)] : []),
  ]
}

const textOf = (body: Buffer): string | undefined => (isUtf8(body) ? body.toString() : undefined)

/** JSON by the line, with its numbers and names as they were written; other text as it is. */
export function indented(text: string): string {
  try {
    JSON.parse(text)
  } catch {
    return text
  }
  let depth = 0
  const line = (): string => `\n${'  '.repeat(depth)}`
  return text.replaceAll(/"(?:[^"\\]|\\.)*"|\s+|\{\s*\}|\[\s*\]|[{}[\],:]/g, (token) => {
    if (/^\s+$/.test(token)) return ''
    if (/^[{[]\s*[}\]]$/.test(token)) return token.replaceAll(/\s/g, '')
    if (token === ':') return ': '
    if (token === ',') return `,${line()}`
    if (token === '{' || token === '[') {
      depth++
      return token + line()
    }
    if (token !== '}' && token !== ']') return token
    depth--
    return line() + token
  })
}
