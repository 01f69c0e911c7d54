/** `dlq list`: the newest dead letters, newest first. */
import type { Client } from '../../client/client.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { createReader } from '../operate/reading.ts'
import { bold, dim, printable, printJson, table, timestamp } from '../output.ts'
import { findDeadLetters, type Letter, letterOf } from './letters.ts'
import { isSelected, type Selection } from './selection.ts'

export interface ListOptions extends ConnectionOptions, Selection {
  olderThan?: number
  limit: number
  fixPermission?: boolean
}

const BATCH = 32

export async function listDeadLetters(consumerGroup: string, options: ListOptions): Promise<void> {
  const { limit, json, fixPermission } = options
  await withClient(options, async (client) => {
    const { topic, queues } = await findDeadLetters(client, consumerGroup, fixPermission)
    const found = await Promise.all(queues.map((queue) => newest(client, consumerGroup, queue, options)))
    const letters = found
      .flat()
      .toSorted((a, b) => b.message.storeTimestamp - a.message.storeTimestamp)
      .slice(0, limit)
    if (json) return printJson({ consumerGroup, topic, deadLetters: letters.map(factsOf) })
    if (letters.length === 0) return console.log(`No dead letters of ${consumerGroup}.`)
    const head = ['letter', 'died', 'topic', 'message id', 'attempts', 'redrives', 'keys']
    const rows = letters.map((letter) => Object.values(columnsOf(letter)).map(printable))
    for (const line of table([head, ...rows], (text, at) => (at === 0 ? bold(text) : text))) console.log(line)
    if (letters.length === limit) console.log(dim(`The newest ${limit}; --limit <n> shows more.`))
  }).catch(naming({ consumerGroup: '<group>' }))
}

/** At most as many of one queue as are wanted of all. */
async function newest(
  client: Client,
  consumerGroup: string,
  queue: MessageQueue,
  { limit, olderThan, ...selection }: ListOptions,
): Promise<Letter[]> {
  const reader = createReader(client)
  const now = Date.now()
  const [min, max] = await Promise.all([reader.minOffset(queue), reader.maxOffset(queue)])
  const found: Letter[] = []
  for (let end = max; end > min && found.length < limit; ) {
    const from = end - BigInt(BATCH) > min ? end - BigInt(BATCH) : min
    // One that cannot be read makes room for one behind these, which is there already.
    const { messages } = await reader.read(queue, from, Number(end - from))
    const letters = messages
      .filter(({ queueOffset }) => queueOffset < end)
      .map((each) => letterOf(client, consumerGroup, each))
    found.push(
      ...letters
        .reverse()
        .filter(
          (letter) =>
            isSelected(letter, selection, now) &&
            (olderThan === undefined || letter.message.storeTimestamp <= now - olderThan),
        ),
    )
    end = from
  }
  return found.slice(0, limit)
}

const columnsOf = ({ message, place, originTopic = '?', redrives }: Letter) => ({
  letter: place,
  died: timestamp(message.storeTimestamp),
  topic: originTopic,
  messageId: message.messageId,
  attempts: String(message.reconsumeTimes),
  redrives: String(redrives),
  keys: message.keys.join(' '),
})

const factsOf = ({ message, place, originTopic, redrives }: Letter) => ({
  letter: place,
  messageId: message.messageId,
  ...(originTopic === undefined ? {} : { topic: originTopic }),
  ...(message.tag === undefined ? {} : { tag: message.tag }),
  keys: message.keys,
  properties: message.properties,
  diedAt: message.storeTimestamp,
  bornAt: message.bornTimestamp,
  attempts: message.reconsumeTimes,
  redrives,
  bodyBytes: message.body.length,
})
