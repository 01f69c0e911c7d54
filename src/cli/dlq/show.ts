/** `dlq show`: one dead letter with its body. */
import { isUtf8 } from 'node:buffer'
import { createMessageQuery } from '../../client/admin/messages.ts'
import type { Client } from '../../client/client.ts'
import type { Message } from '../../client/values.ts'
import { ConfigError, RouteError } from '../../errors.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { indented } from '../operate/peek.ts'
import { createReader } from '../operate/reading.ts'
import { bold, printable, printJson, table, timestamp } from '../output.ts'
import { type DeadLetterQueues, findDeadLetters, type Letter, letterOf, placeOf } from './letters.ts'

export interface ShowOptions extends ConnectionOptions {
  fixPermission?: boolean
}

export async function showDeadLetter(consumerGroup: string, id: string, options: ShowOptions): Promise<void> {
  await withClient(options, async (client) => {
    const deadLetters = await findDeadLetters(client, consumerGroup, options.fixPermission)
    const message = await find(client, deadLetters, id)
    if (!message) throw new RouteError(`${deadLetters.topic} has no ${id}; dlq list shows what it has`)
    const letter = letterOf(client, consumerGroup, message)
    if (options.json)
      return printJson({
        letter: letter.place,
        topic: letter.originTopic,
        redrives: letter.redrives,
        message,
      })
    for (const line of linesOf(letter)) console.log(line)
  }).catch(naming({ consumerGroup: '<group>' }))
}

async function find(
  client: Client,
  { topic, queues }: DeadLetterQueues,
  id: string,
): Promise<Message | undefined> {
  const [, name, queueId, offset] = /^(?:(.+)\/)?(\d{1,5})@(\d{1,18})$/.exec(id) ?? []
  if (queues.length === 0) return undefined
  if (queueId === undefined || offset === undefined)
    return (await createMessageQuery(client).byMessageId(topic, id)).at(-1)
  const meant = queues.filter(
    (each) => each.queueId === Number(queueId) && (name === undefined || each.brokerName === name),
  )
  const [queue] = meant
  if (meant.length > 1)
    throw new ConfigError(
      '<letter>',
      `name one of ${meant.map((each) => placeOf(each, BigInt(offset))).join(', ')}`,
    )
  if (!queue) return undefined
  const { messages } = await createReader(client).read(queue, BigInt(offset), 1)
  return messages.find(({ queueOffset }) => queueOffset === BigInt(offset))
}

function linesOf({ message, place, originTopic = 'unknown', redrives }: Letter): string[] {
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
  return [...facts, '', bold(`body, ${message.body.length} bytes`), bodyOf(message.body)]
}

/** JSON by the line, other text as it is, anything else in hex. */
function bodyOf(body: Buffer): string {
  if (isUtf8(body)) return printable(indented(body.toString()))
  return (body.toString('hex').match(/.{1,64}/g) ?? []).join('\n')
}
