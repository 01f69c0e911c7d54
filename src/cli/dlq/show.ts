/** `dlq show`: one dead letter with its body. */
import { isUtf8 } from 'node:buffer'
import { createMessageQuery } from '../../client/admin/messages.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../client/values.ts'
import { ConfigError, ProtocolError, RouteError } from '../../errors.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { indented } from '../operate/peek.ts'
import { createReader } from '../operate/reading.ts'
import { bold, printable, printJson, table, timestamp } from '../output.ts'
import {
  type BrokenLetter,
  brokenLetterOf,
  type DeadLetterQueues,
  findDeadLetters,
  type Letter,
  letterOf,
  placeOf,
} from './letters.ts'

export interface ShowOptions extends ConnectionOptions {
  fixPermission?: boolean
}

export async function showDeadLetter(consumerGroup: string, id: string, options: ShowOptions): Promise<void> {
  await withClient(options, async (client) => {
    const deadLetters = await findDeadLetters(client, consumerGroup, options.fixPermission)
    const { message, broken } = await find(client, deadLetters, id)
    if (broken) return showBroken(client, consumerGroup, broken, options)
    if (!message) throw new RouteError(`${deadLetters.topic} has no ${id}; dlq list shows what it has`)
    const letter = letterOf(client, consumerGroup, message)
    if (options.json) return printJson(factsOf(letter))
    for (const line of linesOf(letter)) console.log(line)
  }).catch(naming({ consumerGroup: '<group>' }))
}

/** What can be known of it. @throws Error that says why it is not more */
function showBroken(
  client: Client,
  consumerGroup: string,
  { place, reason, message, undecodable }: BrokenLetter,
  { json }: ShowOptions,
): never {
  const letter = message && letterOf(client, consumerGroup, message)
  if (json) printJson({ ...(letter ? factsOf(letter) : { letter: place }), undecodable })
  else {
    const { bytes, commitLogOffset, offsetMessageId, reconsumeTimes } = undecodable
    const known = { 'commit log offset': commitLogOffset, 'offset message id': offsetMessageId }
    const rows = Object.entries({ letter: place, ...known, attempts: reconsumeTimes })
    const facts = rows.filter(([, value]) => value !== undefined).map((row) => row.map(String))
    const lines = letter
      ? linesOf(letter, 'as it is stored')
      : [...table(facts), '', bold(`all of it, ${bytes.length} bytes`), hexOf(bytes)]
    for (const line of lines) console.log(line)
  }
  throw new Error(`${place ?? 'the letter'} cannot be decoded: ${reason}`)
}

const factsOf = ({ place, originTopic, redrives, message }: Letter) => ({
  ...{ letter: place, topic: originTopic, redrives, message },
})

interface Found {
  message?: Message | undefined
  broken?: BrokenLetter | undefined
}

async function find(client: Client, { topic, queues }: DeadLetterQueues, id: string): Promise<Found> {
  const [, name, queueId, offset] = /^(?:(.+)\/)?(\d{1,5})@(\d{1,18})$/.exec(id) ?? []
  if (queues.length === 0) return {}
  if (queueId === undefined || offset === undefined) return { message: await findById(client, topic, id) }
  const meant = queues.filter(
    (each) => each.queueId === Number(queueId) && (name === undefined || each.brokerName === name),
  )
  const [queue] = meant
  if (meant.length > 1)
    throw new ConfigError(
      '<letter>',
      `name one of ${meant.map((each) => placeOf(each, BigInt(offset))).join(', ')}`,
    )
  if (!queue) return {}
  const { messages, undecodable } = await createReader(client).read(queue, BigInt(offset), 1)
  const message = messages.find(({ queueOffset }) => queueOffset === BigInt(offset))
  // One that does not tell its place is where nothing else is.
  const broken = undecodable.find(({ queueOffset = BigInt(offset) }) => queueOffset === BigInt(offset))
  return { message, broken: message || !broken ? undefined : brokenLetterOf(client, queue, broken) }
}

/** The index gives several at once, and none of them where one cannot be decoded. */
async function findById(client: Client, topic: string, id: string): Promise<Message | undefined> {
  try {
    return (await createMessageQuery(client).byMessageId(topic, id)).at(-1)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new Error(
      `what ${topic} has under ${id} cannot be decoded: ${error.message}; dlq list names its place, dlq show <place> has what can be known`,
    )
  }
}

function linesOf({ message, place, originTopic = 'unknown', redrives }: Letter, how = ''): string[] {
  const { messageId, tag = '', keys, properties, systemProperties, reconsumeTimes } = message
  const rows = [
    ['letter', place],
    ['message id', messageId],
    ['topic', originTopic],
    ['died', timestamp(message.storeTimestamp)],
    ['born', `${timestamp(message.bornTimestamp)} on ${message.bornHost}`],
    ['attempts', String(reconsumeTimes)],
    ['redrives', String(redrives)],
    ['tag', tag],
    ['keys', keys.join(' ')],
    ...Object.entries(properties),
    ...Object.entries(systemProperties),
  ]
  const shown = rows.filter(([, value]) => value !== '')
  const facts = table(shown.map((row) => row.map((cell) => printable(cell).replaceAll('\n', '\\n'))))
  const head = `body${how && ` ${how}`}, ${message.body.length} bytes`
  return [...facts, '', bold(head), how ? hexOf(message.body) : bodyOf(message.body)]
}

/** JSON by the line, other text as it is, anything else in hex. */
function bodyOf(body: Buffer): string {
  if (isUtf8(body)) return printable(indented(body.toString()))
  return hexOf(body)
}

const hexOf = (bytes: Buffer): string => (bytes.toString('hex').match(/.{1,64}/g) ?? []).join('\n')
