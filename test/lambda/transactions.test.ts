/**
 * Transactions over the bundled functions, each a process of the local Lambda: begun in one, ended in another, and when
 * nobody ends them checked by a third. On the local broker and on a real one.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import { findEnd } from '../../src/client/ended.ts'
import { readTransaction } from '../../src/client/transaction.ts'
import { type Client, createClient, createPullConsumer } from '../../src/index.ts'
import type { TransactionCheckerResult } from '../../src/lambda/index.ts'
import { type LocalFunction, type LocalLambda, startBroker, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startJavaClient } from '../support/rocketmq/interop.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const GROUP = 'order-api'
const SECRET = 'a secret of more than 32 characters'
/** An end that comes 4 s before the time-out leaves no copy behind. */
const TIMES = { transactionCheckInterval: 1_000, transactionTimeOut: 6_000 }
const WINDOW_MS = 8_500

const hasJava = await realBrokerAvailable()

interface Broker {
  nameServers: string
  createTopic(topic: string): unknown
  stop(): Promise<void>
}

const startLocal = async (): Promise<Broker> => {
  const broker = await startBroker(TIMES)
  return {
    nameServers: broker.nameServers,
    createTopic: (topic) => broker.createTopic(topic, { queues: 1 }),
    stop: () => broker.close(),
  }
}

const startReal = async (): Promise<Broker> => {
  const rocketmq = await startRocketMQ({ settings: TIMES })
  return {
    nameServers: rocketmq.nameServers,
    createTopic: (topic) =>
      rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', topic, '-r', '1', '-w', '1'),
    stop: () => rocketmq.stop(),
  }
}

/** Begins a transaction, does its work, says so, and would end it after an hour. */
const PLACE_ORDER = `
  import { createClient, createTransactionProducer } from ${JSON.stringify(join(import.meta.dirname, '../../src/index.ts'))}
  const transactions = createTransactionProducer(createClient(), { producerGroup: '${GROUP}' })
  export const handler = (message) =>
    transactions.run(message, ({ messageId }) => {
      console.log(JSON.stringify({ placed: messageId }))
      return new Promise((resolve) => setTimeout(resolve, 3_600_000))
    })
`

interface Answer {
  status: number
  body: Record<string, unknown>
}

function suite(name: string, start: () => Promise<Broker>, skip: boolean): void {
  describe(`transactions over functions on ${name}`, { skip }, () => {
    let folder: string
    let broker: Broker
    let client: Client
    let lambda: LocalLambda
    const lines: string[] = []
    const topics = ['committed', 'rolled-back', 'killed', 'left', 'java']

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-transactions-'))
      broker = await start()
      const { nameServers } = broker
      for (const topic of topics) await broker.createTopic(topic)
      client = createClient({ nameServers, timeoutMs: 15_000 })
      const environment = {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TOPICS: topics.join(','),
        ROCKETMQ_PRODUCER_GROUP: GROUP,
        ROCKETMQ_TRANSACTION_SECRET: SECRET,
        ROCKETMQ_CHECK_WINDOW_MS: String(WINDOW_MS),
        ROCKETMQ_TIMEOUT_MS: '15000',
      }
      const source = join(folder, 'place-order.ts')
      await writeFile(source, PLACE_ORDER)
      await build({ ...bundleOptions, entryPoints: { index: source }, outdir: join(folder, 'place-order') })
      const func = (handler: string, ...paths: string[]): LocalFunction => ({
        handler,
        environment,
        timeoutSeconds: 60,
        maximumRetryAttempts: 0,
        events: paths.map((path) => ({ httpApi: { method: 'POST', path } })),
      })
      lambda = await startLambda({
        functions: {
          publish: func(
            await bundleFunction('publish', folder),
            '/topics/{topic}/messages',
            '/topics/{topic}/transactions',
          ),
          'end-transaction': func(
            await bundleFunction('end-transaction', folder),
            '/transactions/commit',
            '/transactions/rollback',
          ),
          'check-transactions': func(await bundleFunction('check-transactions', folder)),
          'place-order': func(join(folder, 'place-order', 'index.mjs')),
        },
        onLog: ({ line }) => void lines.push(line),
      })
      await until('the routes', () =>
        Promise.all(
          topics.map((topic) => createPullConsumer(client, { consumerGroup: 'judge' }).queues(topic)),
        ).catch(() => undefined),
      )
    })
    after(async () => {
      await lambda?.close()
      await client?.close()
      await broker?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    const post = async (path: string, body: unknown): Promise<Answer> => {
      const response = await fetch(`${lambda.httpUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }

    const begin = async (
      topic: string,
      message: object,
    ): Promise<{ transaction: string; messageId: string }> => {
      const { status, body } = await post(`/topics/${topic}/transactions`, message)
      assert.equal(status, 201, JSON.stringify(body))
      return body as { transaction: string; messageId: string }
    }

    const delivered = async (topic: string): Promise<string[]> => {
      const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
      const ids: string[] = []
      for (const queue of await consumer.queues(topic))
        for (const { messageId } of (await consumer.pull(queue, 0n)).messages) ids.push(messageId)
      return ids
    }

    /** Until the broker can tell another process that it was ended. */
    const untilEnded = (transaction: string): Promise<unknown> => {
      const value = readTransaction({ secrets: [SECRET], maxAgeMs: 300_000 }, GROUP, transaction)
      return until('the end to be known', () => findEnd(client, value, client.deadline()))
    }

    const check = async (): Promise<TransactionCheckerResult> => {
      const { payload, functionError } = await lambda.invoke('check-transactions')
      assert.equal(functionError, undefined, JSON.stringify(payload))
      return payload as TransactionCheckerResult
    }

    for (const [topic, first, second] of [
      ['committed', 'commit', 'commit'],
      ['rolled-back', 'rollback', 'commit'],
    ] as const)
      it(`are begun in one and ended by ${first} in another, and not by ${second} afterwards in a third`, async () => {
        const { transaction, messageId } = await begin(topic, { body: { order: 1 }, keys: 'order-1' })
        const before = await delivered(topic)

        const ended = await post(`/transactions/${first}`, { transaction })
        const here = await post(`/transactions/${second}`, { transaction })
        await lambda.replace('end-transaction')
        await untilEnded(transaction)
        const elsewhere = await post(`/transactions/${second}`, { transaction })

        const outcome = first === 'commit' ? 'committed' : 'rolledBack'
        assert.deepStrictEqual(
          [before, ended.status, ended.body],
          [[], 200, { status: 200, outcome, messageId, checked: true }],
        )
        assert.deepStrictEqual([here.status, elsewhere.status], [409, 409])
        assert.deepStrictEqual(await delivered(topic), first === 'commit' ? [messageId] : [])
      })

    it('are committed by the check when the function between begin and end is killed', async () => {
      const dying = lambda.invoke('place-order', {
        topic: 'killed',
        body: 'the order',
        properties: { resolve: 'commit' },
      })
      const messageId = await until('the order to be placed', () => {
        const placed = lines.map((line) => /\{"placed":"(\w+)"\}/.exec(line)?.[1])
        return placed.find((id) => id !== undefined)
      })
      const [pid] = lambda.pids()['place-order'] ?? []
      process.kill(pid as number, 'SIGKILL')
      const { functionError } = await dying
      const before = await delivered('killed')

      const { committed } = await check()

      assert.deepStrictEqual([typeof functionError, before, committed], ['string', [], 1])
      assert.deepStrictEqual(await delivered('killed'), [messageId])
    })

    it('are ended by what the check is told, each as it was, and left open where it is told nothing', async () => {
      const [kept] = [
        await begin('left', { body: 'kept', properties: { resolve: 'commit' } }),
        await begin('left', { body: 'dropped', properties: { resolve: 'rollback' } }),
        await begin('left', { body: 'open' }),
      ]

      const { failed, unreachable } = await check()
      const late = await post('/transactions/commit', { transaction: kept.transaction })

      const answers = lines.flatMap((line) => {
        const [text] = /\{"message":"transaction".*\}/.exec(line) ?? []
        return text === undefined ? [] : [JSON.parse(text) as { topic: string; answer: string }]
      })
      const own = answers.filter((each) => each.topic === 'left').map(({ answer }) => answer)
      assert.deepStrictEqual(
        [[...new Set(own)].sort(), failed, unreachable],
        [['commit', 'rollback', 'unknown'], 0, []],
      )
      assert.deepStrictEqual([late.status, await delivered('left')], [409, [kept.messageId]])
    })

    it('are read by Apache’s Java consumer once committed, as is what was published', {
      skip: !hasJava,
    }, async () => {
      const bytes = Buffer.from([0, 255, 254])
      const one = { body: { order: 1 }, tag: 'created', keys: ['k1', 'k2'], properties: { mine: 'ü' } }
      const published = await post('/topics/java/messages', {
        messages: [one, { body: bytes.toString('base64'), isBase64Encoded: true, shardingKey: 'customer-7' }],
      })
      const kept = await begin('java', { body: 'grüße', tag: 'paid' })
      const dropped = await begin('java', { body: 'dropped' })
      await post('/transactions/rollback', { transaction: dropped.transaction })
      await post('/transactions/commit', { transaction: kept.transaction })
      await using java = await startJavaClient(broker.nameServers)

      const received = await java.consume({ topic: 'java', consumerGroup: 'java', expected: 3 })

      const [first, second] = published.body['results'] as { messageId: string }[]
      const seen = received.map(({ messageId, body, tag, keys, properties }) => ({
        messageId,
        body,
        tag,
        keys,
        mine: properties['mine'],
      }))
      const none = { tag: undefined, keys: [], mine: undefined }
      assert.deepStrictEqual(
        new Set(seen),
        new Set([
          {
            messageId: first?.messageId,
            body: Buffer.from('{"order":1}'),
            tag: 'created',
            keys: ['k1', 'k2'],
            mine: 'ü',
          },
          { ...none, messageId: second?.messageId, body: bytes },
          { ...none, messageId: kept.messageId, body: Buffer.from('grüße'), tag: 'paid' },
        ]),
      )
    })

    it('are swept without an error where there is nothing to sweep', async () => {
      const { payload } = await lambda.invoke('check-transactions', { sweep: true })

      assert.deepStrictEqual((payload as TransactionCheckerResult).failed, 0)
    })
  })
}

suite('the local broker', startLocal, false)
suite('a real broker', startReal, !hasJava)
