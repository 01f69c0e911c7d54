/** `rocketmq-lambda send`: one message into a topic that is there. */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import { createProducer } from '../../client/producer.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import type { TopicRouteData } from '../../commands/route.ts'
import { ConfigError } from '../../errors.ts'
import type { ChosenQueue } from '../arguments.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { oneLine, printJson, table } from '../output.ts'
import { checkTarget } from '../target.ts'

export interface SendOptions extends ConnectionOptions {
  file?: string
  tag?: string
  key?: readonly string[]
  property?: Readonly<Record<string, string>>
  shardingKey?: string
  queue?: ChosenQueue
  delay?: number
  delayLevel?: number
}

/** The fields of a message, as arguments. */
const NAMES = {
  body: '<body>',
  tag: '--tag',
  keys: '--key',
  properties: '--property',
  shardingKey: '--sharding-key',
  queue: '--queue',
  delayMs: '--delay',
  delayLevel: '--delay-level',
}

export async function runSend(topic: string, text: string | undefined, options: SendOptions): Promise<void> {
  const { tag, key: keys, property: properties, shardingKey, delay: delayMs, delayLevel, json } = options
  const queue = options.queue && namedQueue(topic, options.queue)
  await withClient(options, async (client) => {
    checkTarget('<topic>', topic)
    // Brokers may create a topic that is sent to, which of a misspelt one nobody wants.
    const route = await createTopicAdmin(client).route(topic)
    if (queue) checkQueue(queue, route)
    const producer = createProducer(client, { producerGroup: 'rocketmq-lambda-cli' })
    const delay = delayMs === undefined ? (delayLevel === undefined ? {} : { delayLevel }) : { delayMs }
    const body = await bodyOf(text, options.file)
    const message = { topic, body, tag, keys, properties, shardingKey, queue, ...delay }
    const sent = await producer.send(message).catch(naming(NAMES))
    if (json) {
      printJson(sent)
      return
    }
    const { brokerName, queueId } = sent.queue
    const status = sent.status === 'SEND_OK' ? '' : ` (${sent.status})`
    console.log(`Stored in ${topic}/${oneLine(brokerName)}/${queueId} at ${sent.queueOffset}${status}.`)
    const ids = [
      ['message id', sent.messageId],
      ['offset message id', sent.offsetMessageId],
      ...(sent.recallHandle ? [['recall handle', sent.recallHandle]] : []),
    ]
    for (const line of table(ids)) console.log(line)
  })
}

async function bodyOf(text: string | undefined, file: string | undefined): Promise<Buffer> {
  if ((text === undefined) === (file === undefined))
    throw new ConfigError('<body>', 'give it as text, as - for stdin, or by --file, one of these')
  if (text === '-') return await buffer(process.stdin)
  if (file === undefined) return Buffer.from(text ?? '')
  return await readFile(file).catch(({ code }: NodeJS.ErrnoException) => {
    throw new ConfigError('--file', `${file} cannot be read (${code})`)
  })
}

function namedQueue(topic: string, { brokerName, queueId }: ChosenQueue): MessageQueue {
  if (brokerName === undefined) throw new ConfigError('--queue', 'takes the broker, too: broker-a/0')
  return { topic, brokerName, queueId }
}

/** A broker would say so, too, in many more words. */
function checkQueue({ topic, brokerName, queueId }: MessageQueue, { queueDatas }: TopicRouteData): void {
  const written = queueDatas.filter(({ writeQueueNums }) => writeQueueNums > 0)
  if (written.some((each) => each.brokerName === brokerName && queueId < each.writeQueueNums)) return
  const names = written.map((each) => `${each.brokerName}/0 to ${each.writeQueueNums - 1}`)
  throw new ConfigError('--queue', `${topic} has ${names.join(', ') || 'no queue that is written to'}`)
}
