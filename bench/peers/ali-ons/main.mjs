/**
 * The benchmark's work done by ali-ons (../../job.ts is the contract). Name servers are given, so that nobody is asked over
 * HTTP; one instance name puts the client and its inner producer on one connection; bodies stay uncompressed, and nothing is
 * sent twice. ali-ons has only a push consumer, which sleeps after each pull and consumes queue after queue: its own pull of
 * one queue (`pullKernelImpl`), called in one loop per queue, is quicker, and decodes the same.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { crc32 } from 'node:zlib'
import { Consumer, Message, Producer } from 'ali-ons'

const require = createRequire(import.meta.url)
const MessageQueue = require('ali-ons/lib/message_queue')
const job = JSON.parse(process.argv.at(-1))
const options = {
  httpclient: { request: () => Promise.reject(new Error('no HTTP in a benchmark')) },
  nameSrv: job.nameServers.split(';'),
  instanceName: `bench-${process.pid}`,
  logger: { debug() {}, info() {}, warn() {}, error: console.error },
}

try {
  if (job.work === 'batch') fail('ali-ons cannot send batches', 3)
  const outcome = await (job.work === 'send' ? send() : pull())
  const { version } = require('ali-ons/package.json')
  const program = `ali-ons ${version}, node ${process.version}`
  process.stdout.write(`${JSON.stringify({ ...outcome, program })}\n`, () => process.exit(0))
} catch (error) {
  fail(error)
}

async function send() {
  const producer = new Producer({
    ...options,
    producerGroup: job.group,
    compressMsgBodyOverHowmuch: Number.POSITIVE_INFINITY,
    sendMsgTimeout: 30_000,
    retryTimesWhenSendFailed: 0,
  })
  producer.on('error', fail)
  await producer.ready()
  await patiently(async () => (await producer.tryToFindTopicPublishInfo(job.topic)).ok)
  const body = Buffer.alloc(job.bodyBytes, '0123456789abcdef')
  const sendAll = async (count) => {
    let next = 0
    const loop = async () => {
      while (next < count) {
        const message = new Message(job.topic, 'bench', body)
        message.keys = [`k-${next++}`]
        message.properties.origin = 'bench'
        const { sendStatus } = await producer.send(message)
        if (sendStatus !== 'SEND_OK') throw new Error(`sent with ${sendStatus}`)
      }
    }
    await Promise.all(Array.from({ length: job.inFlight }, loop))
  }
  await sendAll(job.warmup)
  return await measure(() => sendAll(job.messages))
}

async function pull() {
  if (job.messages % job.queues !== 0) throw new Error('queues must have the same number of messages')
  // Broadcasting, because a group that clusters subscribes to its retry topic and polls it.
  const consumer = new Consumer({
    ...options,
    consumerGroup: job.group,
    isBroadcast: true,
    pullBatchSize: 32,
  })
  consumer.on('error', fail)
  await consumer.ready()
  const version = Date.now()
  const pullQueue = async (queueId, count) => {
    const queue = new MessageQueue(job.topic, job.brokerName, queueId)
    let sum = 0
    for (let offset = 0; offset < count; ) {
      const { msgFoundList } = await consumer.pullKernelImpl(queue, '*', undefined, version, offset, 0)
      if (msgFoundList.length === 0) throw new Error(`queue ${queueId} ends at ${offset} of ${count}`)
      for (const message of msgFoundList.slice(0, count - offset)) sum += checksum(message)
      offset += msgFoundList.length
    }
    return sum
  }
  const pullAll = (count) => {
    const ofQueue = Math.floor(count / job.queues)
    return Promise.all(Array.from({ length: job.queues }, (_, queueId) => pullQueue(queueId, ofQueue)))
  }
  await patiently(() => consumer.findBrokerAddress(new MessageQueue(job.topic, job.brokerName, 0)))
  await pullAll(job.warmup)
  let sums = []
  const outcome = await measure(async () => {
    sums = await pullAll(job.messages)
  })
  return { ...outcome, checksum: sums.reduce((sum, part) => sum + part, 0) % 2 ** 32 }
}

/** Below 2^32, so that a double holds the sum over two million messages exactly. */
function checksum(message) {
  const { body, properties } = message
  const sum =
    crc32(body) +
    body.length +
    message.queueOffset +
    message.commitLogOffset +
    (properties.UNIQ_KEY?.length ?? 0) +
    (message.keys?.split(' ').reduce((length, key) => length + key.length, 0) ?? 0) +
    (message.tags?.length ?? 0) +
    (properties.origin?.length ?? 0) +
    message.reconsumeTimes +
    message.bornTimestamp +
    message.storeTimestamp +
    port(message.bornHost) +
    port(message.storeHost) +
    message.queueId
  return sum % 2 ** 32
}

function port(host) {
  return Number(host.slice(host.lastIndexOf(':') + 1))
}

/** It gives the name server 3 s, which a busy machine takes. */
async function patiently(find) {
  for (const limit = Date.now() + 30_000; ; ) {
    const found = await find().catch((error) => {
      if (Date.now() > limit) throw error
    })
    if (found) return
    if (Date.now() > limit) throw new Error(`no route of ${job.topic} in 30 s`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function measure(work) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  const cpuSeconds = (user + system) / 1e6
  return { seconds, cpuSeconds, peakRssBytes: peak * 1024, messages: job.messages }
}

function fail(error, code = 1) {
  console.error(error)
  process.exit(code)
}
