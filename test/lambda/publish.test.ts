/**
 * What callers of the bundled publish function are told when the broker is gone, or suspended with their request: a process
 * of the local Lambda, asked over HTTP and directly. On the local broker and on a real one, one case after another.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bundleFunction } from '../../scripts/bundle.ts'
import { type Client, createClient, createPullConsumer } from '../../src/index.ts'
import { type LocalLambda, startBroker, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const TOPIC = 'orders'
const hasJava = await realBrokerAvailable()

/** One master, which goes away and comes back. */
interface Broker {
  nameServers: string
  kill(): Promise<void>
  start(): Promise<void>
  /** Until `resume` it reads nothing; connections stay open. */
  suspend(): void
  resume(): void
  stop(): Promise<void>
}

const startLocal = async (): Promise<Broker> => {
  const local = await startBroker({ topics: { [TOPIC]: { queues: 1 } } })
  const [master] = local.brokers
  assert.ok(master)
  return {
    nameServers: local.nameServers,
    kill: () => master.kill(),
    start: () => master.start(),
    suspend: () => master.freeze(),
    resume: () => master.resume(),
    stop: () => local.close(),
  }
}

const startReal = async (): Promise<Broker> => {
  const rocketmq = await startRocketMQ()
  const [master] = rocketmq.brokers
  assert.ok(master)
  await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', TOPIC, '-r', '1', '-w', '1')
  return {
    nameServers: rocketmq.nameServers,
    kill: () => master.kill(),
    start: () => master.start(),
    suspend: () => master.pause(),
    resume: () => master.resume(),
    stop: () => rocketmq.stop(),
  }
}

interface Answer {
  status: number
  retryAfter: string | null
  body: Record<string, unknown>
}

function suite(name: string, start: () => Promise<Broker>, skip: boolean): void {
  describe(`the publish function on ${name}`, { skip }, () => {
    let folder: string
    let broker: Broker
    let client: Client
    let lambda: LocalLambda

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-publish-'))
      broker = await start()
      const { nameServers } = broker
      client = createClient({ nameServers, timeoutMs: 15_000 })
      lambda = await startLambda({
        functions: {
          publish: {
            handler: await bundleFunction('publish', folder),
            environment: {
              ROCKETMQ_NAMESRV_ADDR: nameServers,
              ROCKETMQ_TOPICS: TOPIC,
              ROCKETMQ_TIMEOUT_MS: '1500',
            },
            timeoutSeconds: 60,
            maximumRetryAttempts: 0,
            events: [{ httpApi: { method: 'POST', path: '/topics/{topic}/messages' } }],
          },
        },
      })
      await untilPublished()
    })
    after(async () => {
      await lambda?.close()
      await client?.close()
      await broker?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    const post = async (request: unknown): Promise<Answer> => {
      const response = await fetch(`${lambda.httpUrl}/topics/${TOPIC}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(request),
      })
      const body = (await response.json()) as Record<string, unknown>
      return { status: response.status, retryAfter: response.headers.get('retry-after'), body }
    }

    /** The function is warm then, and knows the broker's address. */
    const untilPublished = (): Promise<unknown> =>
      until('a message to be published', async () => (await post({ body: 'ready' })).status === 200)

    const stored = async (): Promise<string[]> => {
      const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
      const ids: string[] = []
      for (const queue of await consumer.queues(TOPIC)) {
        for (let offset = 0n; ; ) {
          const { messages, nextBeginOffset } = await consumer.pull(queue, offset)
          if (messages.length === 0) break
          ids.push(...messages.map(({ messageId }) => messageId))
          offset = nextBeginOffset
        }
      }
      return ids
    }

    const untilStored = (messageId: unknown): Promise<unknown> =>
      until('the message to be stored', async () => (await stored()).includes(messageId as string))

    it('answers 503 while the broker is down, with nothing stored, and 200 when it is back', async () => {
      const one = { body: 'x', messageId: 'DOWN' }
      const many = { messages: [one, { ...one, delayMs: 1_000 }] }

      await broker.kill()
      const down = await post(one)
      const several = await post(many)
      await lambda.replace('publish')
      const cold = await post(one)
      const direct = await lambda.invoke('publish', { topic: TOPIC, ...one })
      await broker.start()
      await untilPublished()

      for (const { status, retryAfter, body } of [down, cold])
        assert.deepStrictEqual(
          [status, retryAfter, body['status'], body['outcome'], body['messageId']],
          [503, '1', 503, 'not-sent', 'DOWN'],
        )
      // One for each while the broker's address is known, one for all when the name server has forgotten the topic.
      const parts = (several.body['results'] ?? [several.body]) as { status: number }[]
      assert.deepStrictEqual([...new Set(parts.map(({ status }) => status))], [503])
      assert.notEqual(several.status, 200)
      assert.equal(direct.functionError, 'Unhandled')
      assert.ok(!(await stored()).includes('DOWN'))
      assert.equal((await post(one)).status, 200)
      await untilStored('DOWN')
    })

    it('answers 504 with the id under which the message is stored when the broker goes on too late', async () => {
      const ids = new Set(await stored())

      broker.suspend()
      const unknown = await post({ body: 'x' })
      broker.resume()

      const { messageId, status, outcome, title } = unknown.body
      assert.deepStrictEqual(
        [unknown.status, status, outcome, title],
        [504, 504, 'unknown', 'Outcome unknown'],
      )
      await untilStored(messageId)
      const again = await post({ body: 'x', messageId })
      assert.deepStrictEqual([again.status, again.body['messageId']], [200, messageId])
      // Attempts of one request share an id, so that there may be copies.
      assert.deepStrictEqual(new Set(await stored()), ids.add(messageId as string))
    })

    it('names that id in the error of a direct invocation', async () => {
      await untilPublished()

      broker.suspend()
      const { payload, functionError } = await lambda.invoke('publish', { topic: TOPIC, body: 'x' })
      broker.resume()

      const { errorMessage } = payload as { errorMessage: string }
      const [, messageId] =
        /; it may be stored, and can be repeated with messageId (\w+)$/.exec(errorMessage) ?? []
      assert.deepStrictEqual([functionError, typeof messageId], ['Unhandled', 'string'], errorMessage)
      await untilStored(messageId)
    })
  })
}

suite('the local broker', startLocal, false)
suite('a real broker', startReal, !hasJava)
