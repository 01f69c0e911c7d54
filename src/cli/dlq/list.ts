/** `dlq list`: the newest dead letters, newest first. */
import type { Client } from '../../client/client.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { createReader } from '../operate/reading.ts'
import { bold, dim, printable, printJson, table, timestamp } from '../output.ts'
import { type BrokenLetter, brokenLetterOf, findDeadLetters, type Letter, letterOf } from './letters.ts'
import { isSelected, type Selection } from './selection.ts'

export interface ListOptions extends ConnectionOptions, Selection {
  olderThan?: number
  limit: number
  fixPermission?: boolean
}

const BATCH = 32
const NAMED = 10

export async function listDeadLetters(consumerGroup: string, options: ListOptions): Promise<void> {
  const { limit, json, fixPermission } = options
  await withClient(options, async (client) => {
    const { topic, queues } = await findDeadLetters(client, consumerGroup, fixPermission)
    const found = await Promise.all(queues.map((queue) => newest(client, consumerGroup, queue, options)))
    const letters = found
      .flatMap((each) => each.letters)
      .toSorted((a, b) => b.message.storeTimestamp - a.message.storeTimestamp)
      .slice(0, limit)
    const broken = found.flatMap((each) => each.broken)
    if (broken.length > 0) console.error(lineOfBroken(topic, broken))
    if (json)
      return printJson({
        ...{ consumerGroup, topic },
        deadLetters: letters.map(factsOf),
        undecodable: broken.map(brokenFactsOf),
      })
    const readable = broken.length > 0 ? ' that can be decoded' : ''
    if (letters.length === 0) return console.log(`No dead letters of ${consumerGroup}${readable}.`)
    const head = ['letter', 'died', 'topic', 'message id', 'attempts', 'redrives', 'keys']
    const rows = letters.map((letter) => Object.values(columnsOf(letter)).map(printable))
    for (const line of table([head, ...rows], (text, at) => (at === 0 ? bold(text) : text))) console.log(line)
    if (letters.length === limit) console.log(dim(`The newest ${limit}; --limit <n> shows more.`))
  }).catch(naming({ consumerGroup: '<group>' }))
}

interface Found {
  letters: Letter[]
  /** Those that were come across: nobody knows whether they are of the selection. */
  broken: BrokenLetter[]
}

/** At most as many of one queue as are wanted of all. */
async function newest(
  client: Client,
  consumerGroup: string,
  queue: MessageQueue,
  { limit, olderThan, ...selection }: ListOptions,
): Promise<Found> {
  const reader = createReader(client)
  const now = Date.now()
  const [min, max] = await Promise.all([reader.minOffset(queue), reader.maxOffset(queue)])
  const found: Letter[] = []
  const broken: BrokenLetter[] = []
  for (let end = max; end > min && found.length < limit; ) {
    const from = end - BigInt(BATCH) > min ? end - BigInt(BATCH) : min
    // One that cannot be read makes room for one behind these, which is there already.
    const { messages, undecodable } = await reader.read(queue, from, Number(end - from))
    broken.push(
      ...undecodable
        .filter(({ queueOffset }) => queueOffset === undefined || queueOffset < end)
        .map((each) => brokenLetterOf(client, queue, each))
        .reverse(),
    )
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
  return { letters: found.slice(0, limit), broken }
}

function lineOfBroken(topic: string, broken: readonly BrokenLetter[]): string {
  const named = broken.slice(0, NAMED).map(({ place = 'one', reason }) => `${place} (${reason})`)
  const more = broken.length > NAMED ? `, and ${broken.length - NAMED} more` : ''
  return printable(
    `In ${topic} cannot be decoded: ${named.join(', ')}${more}; dlq show has what can be known of each`,
  )
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

const brokenFactsOf = ({ place, reason, message }: BrokenLetter) => ({
  ...(place === undefined ? {} : { letter: place }),
  ...(message === undefined ? {} : { messageId: message.messageId }),
  reason,
})
