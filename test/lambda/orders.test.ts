/**
 * The example examples/orders-dynamodb, bundled as it is deployed: functions as processes of the local Lambda, a table in memory,
 * and a local or a real broker. They are killed at the gate in front of the table.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { build } from 'esbuild'
import { type LocalTable, startTable } from '../../examples/orders-dynamodb/local/table.ts'
import { type OrderTable, orderTable } from '../../examples/orders-dynamodb/src/order-table.ts'
import { bundleOptions } from '../../scripts/bundle.ts'
import { type Client, createClient, createPullConsumer } from '../../src/index.ts'
import type { TransactionCheckerResult } from '../../src/lambda/index.ts'
import { type LocalLambda, startBroker, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { type Gate, type Hold, openGate } from '../support/gate.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const root = join(import.meta.dirname, '../..')
const project = join(root, 'examples/orders-dynamodb')
const TABLE = 'orders'
/** An end that comes 4 s before the time-out leaves no copy behind. */
const TIMES = { transactionCheckInterval: 1_000, transactionTimeOut: 6_000 }
const WINDOW_MS = 8_500
/** What is asked about is older. */
const WRITTEN_WITHIN_MS = 3_000

interface Broker {
  nameServers: string
  stop(): Promise<void>
}

const startLocal = async (): Promise<Broker> => {
  const broker = await startBroker({ ...TIMES, topics: { orders: { queues: 1 } } })
  return { nameServers: broker.nameServers, stop: () => broker.close() }
}

const startReal = async (): Promise<Broker> => {
  const rocketmq = await startRocketMQ({ settings: TIMES })
  await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', 'orders', '-r', '1', '-w', '1')
  return { nameServers: rocketmq.nameServers, stop: () => rocketmq.stop() }
}

interface Answer {
  status: number
  body: { messageId?: string; detail?: string }
}

function suite(name: string, start: () => Promise<Broker>, skip: boolean): void {
  describe(`orders on DynamoDB, over functions, on ${name}`, { skip }, () => {
    let folder: string
    let broker: Broker
    let local: LocalTable
    let gate: Gate
    let table: OrderTable
    let client: Client
    let lambda: LocalLambda

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-orders-'))
      ;[broker, local] = await Promise.all([start(), startTable(TABLE)])
      gate = await openGate(local.endpoint)
      table = orderTable(local.dynamodb, TABLE)
      const { nameServers } = broker
      client = createClient({ nameServers, timeoutMs: 15_000 })
      const functions = ['place-order', 'check-orders']
      await build({
        ...bundleOptions,
        tsconfig: join(root, 'tsconfig.json'),
        entryPoints: functions.map((each) => join(project, 'functions', `${each}.ts`)),
        outdir: folder,
      })
      const environment = {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TIMEOUT_MS: '15000',
        ROCKETMQ_CHECK_WINDOW_MS: String(WINDOW_MS),
        ORDERS_TABLE: TABLE,
        ORDER_WRITTEN_WITHIN_MS: String(WRITTEN_WITHIN_MS),
        AWS_ENDPOINT_URL_DYNAMODB: gate.endpoint,
      }
      const func = { environment, timeoutSeconds: 60, maximumRetryAttempts: 0 }
      lambda = await startLambda({
        functions: {
          'place-order': {
            ...func,
            handler: join(folder, 'place-order.mjs'),
            events: [{ httpApi: { method: 'POST', path: '/orders' } }],
          },
          'check-orders': { ...func, handler: join(folder, 'check-orders.mjs') },
        },
      })
      const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
      await until('the route', () => consumer.queues('orders').catch(() => undefined))
    })
    after(async () => {
      await lambda?.close()
      await client?.close()
      await gate?.close()
      await local?.[Symbol.asyncDispose]()
      await broker?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    const post = async (id: string): Promise<Answer> => {
      const response = await fetch(`${lambda.httpUrl}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, product: 'tea', count: 2 }),
      })
      return { status: response.status, body: (await response.json()) as Answer['body'] }
    }

    /** The function dies by SIGKILL when its write is held. */
    const postAndKill = async (id: string, hold: Hold): Promise<number> => {
      gate.hold = { PutItem: hold }
      gate.held = 0
      const dying = post(id)
      await until('the write to be held', () => gate.held > 0)
      for (const pid of lambda.pids()['place-order'] ?? []) process.kill(pid, 'SIGKILL')
      const { status } = await dying
      gate.hold = {}
      return status
    }

    /** The orders that a consumer sees, with the ids of their messages, each as often as it is there. */
    const consumed = async (): Promise<(string | undefined)[][]> => {
      const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
      const [queue] = await consumer.queues('orders')
      assert.ok(queue)
      const { messages } = await consumer.pull(queue, 0n)
      return messages.map(({ keys, messageId }) => [keys[0], messageId])
    }

    it('each is seen once by its consumers: placed, repeated, killed before and behind its write, and checked', async () => {
      const placed = await post('placed')
      const again = await post('placed')
      const behind = await postAndKill('killed-behind', 'answer')
      const before = await postAndKill('killed-before', 'write')
      const [early, written, unwritten] = [
        await consumed(),
        await table.find('killed-behind'),
        await table.find('killed-before'),
      ]

      const { payload, functionError } = await lambda.invoke('check-orders')
      assert.equal(functionError, undefined, JSON.stringify(payload))
      const { committed, rolledBack, failed } = payload as TransactionCheckerResult
      const repeated = [await post('killed-behind'), await post('killed-before')]

      assert.deepStrictEqual([placed.status, again], [201, { status: 200, body: placed.body }])
      assert.deepStrictEqual([behind, before], [500, 500])
      assert.deepStrictEqual(early, [['placed', placed.body.messageId]])
      assert.deepStrictEqual([written?.state, unwritten], ['placed', undefined])
      assert.deepStrictEqual({ committed, rolledBack, failed }, { committed: 1, rolledBack: 1, failed: 0 })
      assert.deepStrictEqual(
        repeated.map(({ status, body }) => [status, body.messageId]),
        [
          [200, written?.messageId],
          [409, undefined],
        ],
      )
      assert.deepStrictEqual((await table.find('killed-before'))?.state, 'abandoned')
      assert.deepStrictEqual(await consumed(), [
        ['placed', placed.body.messageId],
        ['killed-behind', written?.messageId],
      ])
    })
  })
}

suite('the local broker', startLocal, false)
suite('a real broker', startReal, !(await realBrokerAvailable()))
