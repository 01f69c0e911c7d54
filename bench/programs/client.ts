/** This project's client, as its documentation shows it. */
import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { createClient, createProducer, createPullConsumer, type Message } from '../../src/index.ts'
import { body, inParallel, job, measure } from './measure.ts'

const { accessKey, secretKey } = job
const client = createClient({
  nameServers: job.nameServers,
  // A send that took too long would be repeated, and stored twice: a busy machine takes 3 s.
  timeoutMs: 30_000,
  ...(job.tlsCa !== undefined && { tls: { ca: readFileSync(job.tlsCa) } }),
  ...(accessKey !== undefined && secretKey !== undefined && { credentials: { accessKey, secretKey } }),
})

async function send(messages: number): Promise<void> {
  const compression = job.compression ? 'zlib' : 'none'
  const producer = createProducer(client, { producerGroup: job.group, compression })
  await inParallel(messages, job.inFlight, async (index) => {
    const { status } = await producer.send({
      topic: job.topic,
      body,
      tag: 'bench',
      keys: `k-${1_000_000_000 + index}`,
      properties: { origin: 'bench' },
    })
    if (status !== 'SEND_OK') throw new Error(status)
  })
}

async function sendBatches(messages: number): Promise<void> {
  const producer = createProducer(client, { producerGroup: job.group })
  await inParallel(messages / job.batchSize, job.inFlight, async (index) => {
    const batch = Array.from({ length: job.batchSize }, (_, at) => ({
      body,
      tag: 'bench',
      keys: `k-${1_000_000_000 + index * job.batchSize + at}`,
      properties: { origin: 'bench' },
    }))
    for (const { outcome } of await producer.sendBatch(job.topic, batch))
      if (outcome !== 'stored') throw new Error(outcome)
  })
}

/** Touches everything that a message has, so that nothing lazy hides from the clock. */
function checksumOf(message: Message): number {
  let sum = crc32(message.body) + message.body.length + message.messageId.length
  for (const key of message.keys) sum += key.length
  sum += (message.tag?.length ?? 0) + (message.properties['origin']?.length ?? 0)
  sum += message.reconsumeTimes + message.queue.queueId + message.bornTimestamp + message.storeTimestamp
  sum += portOf(message.bornHost) + portOf(message.storeHost)
  return sum + Number(message.queueOffset) + Number(message.commitLogOffset)
}

const portOf = (host: string): number => Number(host.slice(host.lastIndexOf(':') + 1))

async function pull(messages: number): Promise<number> {
  const consumer = createPullConsumer(client, { consumerGroup: job.group })
  const queues = await consumer.queues(job.topic)
  const most = messages / queues.length
  let checksum = 0
  await inParallel(queues.length, queues.length, async (index) => {
    const queue = queues[index] as (typeof queues)[number]
    let offset = 0n
    while (offset < most) {
      const result = await consumer.pull(queue, offset)
      for (const message of result.messages)
        if (message.queueOffset < most) checksum = (checksum + checksumOf(message)) % 2 ** 32
      offset = result.nextBeginOffset
    }
  })
  return checksum
}

const works = { send, batch: sendBatches, pull, drain: pull }
await measure('rocketmq-lambda', works[job.work])
await client.close()
