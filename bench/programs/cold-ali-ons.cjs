// The same cold starts by ali-ons, bundled: one message acknowledged; or 100 messages of one queue and a commit, which it
// can only do one-way.
const { Consumer, Message, Producer } = require('ali-ons')
const MessageQueue = require('ali-ons/lib/message_queue')

const { nameServer, topic, queue, consumerGroup } = JSON.parse(process.argv[2])
const options = {
  httpclient: { request: () => Promise.reject(new Error('no HTTP in a benchmark')) },
  nameSrv: [nameServer],
  instanceName: `bench-${process.pid}`,
  logger: { debug() {}, info() {}, warn() {}, error: console.error },
}

async function send() {
  const producer = new Producer({ ...options, producerGroup: 'bench' })
  await producer.ready()
  const message = new Message(topic, 'bench', Buffer.alloc(1024, 'x'))
  message.keys = ['k-1']
  await producer.send(message)
}

async function fetch() {
  const consumer = new Consumer({ ...options, consumerGroup, isBroadcast: true, pullBatchSize: 32 })
  await consumer.ready()
  const its = new MessageQueue(queue.topic, queue.brokerName, queue.queueId)
  await consumer.findBrokerAddress(its)
  let offset = 0
  while (offset < 100) {
    const { msgFoundList } = await consumer.pullKernelImpl(its, '*', undefined, Date.now(), offset, 0)
    offset += msgFoundList.length
  }
  const { brokerAddr } = await consumer.findBrokerAddress(its)
  const header = { topic: its.topic, consumerGroup, queueId: its.queueId, commitOffset: offset }
  await consumer._mqClient.updateConsumerOffsetOneway(brokerAddr, header)
}

;(queue ? fetch() : send()).then(
  () => process.stdout.write('done', () => process.exit(0)),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
