/**
 * The five bundled functions, each a warm process of the local Lambda, with what docs/deploy.md says they must be granted and
 * keys from a secret, which are rotated between two invocations. No code may be made from strings in them, and their logs tell
 * nothing of bodies, keys, properties and secrets. On the local broker and on a real one.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { bundleFunction, functionNames } from '../../scripts/bundle.ts'
import { createClient, createGroupAdmin, createPullConsumer, createTopicAdmin } from '../../src/index.ts'
import type { DispatchResult, EventSourceResult, TransactionCheckerResult } from '../../src/lambda/index.ts'
import {
  type LocalFunction,
  type LocalLambda,
  type LocalUser,
  startBroker,
  startLambda,
} from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { CANARY, found } from '../support/canary.ts'
import { fakeSecretsManager } from '../support/fake-secrets-manager.ts'
import { setUser } from '../support/rocketmq/acl.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { authSettings, startRocketMQ } from '../support/rocketmq/start.ts'

const ROOT = { accessKey: 'root', secretKey: 'root-secret' }
const TIMES = { transactionCheckInterval: 1_000, transactionTimeOut: 1_000 }
/** Of all functions together; the last three for what was ended before. */
const GRANTS: LocalUser['grants'] = {
  'Topic:orders': ['Pub', 'Sub', 'Get'],
  'Group:billing': ['Sub'],
  'Group:TOOLS_CONSUMER': ['Sub'],
  'Topic:RMQ_SYS_TRANS_HALF_TOPIC': ['Sub'],
  'Topic:RMQ_SYS_TRANS_OP_HALF_TOPIC': ['Sub', 'Get'],
}

/** A message of which nothing may be told. */
const HIDDEN = {
  body: JSON.stringify({ card: `${CANARY}-body` }),
  keys: [`${CANARY}-key`],
  shardingKey: `${CANARY}-sharding`,
  properties: { note: `${CANARY}-property` },
}
/** The key of `functions`, before and after its rotation. */
const KEYS = [`${CANARY}-first-secret`, `${CANARY}-second-secret`] as const

interface Broker {
  nameServers: string
  /** Sets the key of `functions`. */
  setKey: (secretKey: string) => Promise<void>
  stop(): Promise<void>
}

const startLocal = async (): Promise<Broker> => {
  const broker = await startBroker({ ...TIMES, users: { root: { secretKey: ROOT.secretKey } } })
  return {
    nameServers: broker.nameServers,
    setKey: async (secretKey) => broker.setUser('functions', { secretKey, grants: GRANTS }),
    stop: () => broker.close(),
  }
}

const startReal = async (): Promise<Broker> => {
  const rocketmq = await startRocketMQ({ settings: { ...TIMES, ...authSettings(ROOT) } })
  const { nameServers } = rocketmq
  const root = createClient({ nameServers, credentials: ROOT, timeoutMs: 15_000 })
  const address = rocketmq.brokers[0]?.address ?? ''
  return {
    nameServers,
    setKey: (secretKey) => setUser(root, address, 'functions', { secretKey, grants: GRANTS }),
    async stop() {
      await root.close()
      await rocketmq.stop()
    },
  }
}

/** A topic, a group and a user of the functions. */
async function prepare({ nameServers, setKey }: Broker): Promise<void> {
  const root = createClient({ nameServers, credentials: ROOT, timeoutMs: 15_000 })
  await createTopicAdmin(root).create('orders', { readQueueNums: 1 })
  await createGroupAdmin(root).create('billing')
  await setKey(KEYS[0])
  await until('the route', () =>
    createPullConsumer(root, { consumerGroup: 'billing' })
      .queues('orders')
      .catch(() => undefined),
  )
  await root.close()
}

/** What each function did of what it is for; it fails with the error of a function. */
async function work(lambda: LocalLambda): Promise<unknown> {
  const invoke = async <T>(name: string, payload?: unknown): Promise<T> => {
    const answer = await lambda.invoke(name, payload)
    assert.equal(answer.functionError, undefined, `${name}: ${JSON.stringify(answer.payload)}`)
    return answer.payload as T
  }
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const response = await fetch(`${lambda.httpUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: response.status, ...((await response.json()) as object) }
  }
  const sent = await post('/topics/orders/messages', { ...HIDDEN })
  const begun = await post('/topics/orders/transactions', { ...HIDDEN })
  const ended = await post('/transactions/commit', { transaction: begun['transaction'] })
  await post('/topics/orders/transactions', { ...HIDDEN, tag: 'left' })
  const dispatched = await invoke<DispatchResult>('dispatch')
  await lambda.idle()
  const consumed = await invoke<EventSourceResult>('consume')
  const isChecked = ({ committed, rolledBack, unknown }: TransactionCheckerResult): boolean =>
    committed + rolledBack + unknown > 0
  const checks: TransactionCheckerResult[] = []
  // On a machine without time no round of the broker may come within the window.
  while (!checks.some(isChecked) && checks.length < CHECKS) checks.push(await invoke('check-transactions'))
  return {
    statuses: [sent['status'], begun['status'], ended['status']],
    workers: dispatched.eventSources['orders']?.workers,
    lag: consumed.remainingLag,
    checksFailed: checks.reduce((sum, { failed }) => sum + failed, 0),
    isChecked: checks.some(isChecked),
  }
}

/** The most windows of checks until one has come. */
const CHECKS = 12
const DONE = { statuses: [200, 201, 200], workers: 1, lag: 0, checksFailed: 0, isChecked: true }

function suite(name: string, start: () => Promise<Broker>, skip: boolean): void {
  describe(`the functions on ${name} with access control`, { skip }, () => {
    it('work with what they must be granted and without code from strings, and go on when their keys were rotated', async (t: TestContext) => {
      const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-rotation-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      const broker = await start()
      t.after(() => broker.stop())
      await prepare(broker)
      let secretKey: string = KEYS[0]
      const secrets = await fakeSecretsManager(t, () => JSON.stringify({ accessKey: 'functions', secretKey }))
      const lines: string[] = []
      const environment = {
        ...secrets.environment,
        NODE_OPTIONS: '--disallow-code-generation-from-strings',
        ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
        ROCKETMQ_SECRET_ARN: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rocketmq-AbCdEf',
        ROCKETMQ_TOPICS: 'orders',
        ROCKETMQ_PRODUCER_GROUP: 'order-api',
        ROCKETMQ_TRANSACTION_SECRET: `${CANARY} of a secret of more than 32 characters`,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({ orders: { topic: 'orders', consumerGroup: 'billing' } }),
        ROCKETMQ_WORKER_FUNCTION: 'consume',
        ROCKETMQ_CHECK_WINDOW_MS: '5000',
        ROCKETMQ_TIMEOUT_MS: '15000',
        POWERTOOLS_METRICS_NAMESPACE: 'shop',
      }
      const paths: Record<string, string[]> = {
        publish: ['/topics/{topic}/messages', '/topics/{topic}/transactions'],
        'end-transaction': ['/transactions/commit'],
      }
      const functions: Record<string, LocalFunction> = {}
      for (const each of functionNames)
        functions[each] = {
          handler: await bundleFunction(each, folder),
          environment,
          timeoutSeconds: 120,
          maximumRetryAttempts: 0,
          reservedConcurrency: 1,
          events: (paths[each] ?? []).map((path) => ({ httpApi: { method: 'POST', path } })),
        }
      const lambda = await startLambda({ functions, onLog: ({ line }) => void lines.push(line) })
      t.after(() => lambda.close())

      const before = await work(lambda)
      const asked = secrets.asked.length
      secretKey = KEYS[1]
      await broker.setKey(secretKey)
      const after = await work(lambda)

      assert.deepStrictEqual([before, after], [DONE, DONE])
      // Each sandbox read the secret at its start, and once more when its key was refused: none was started anew.
      assert.deepStrictEqual([asked, secrets.asked.length], [5, 10])
      assert.deepStrictEqual(
        lines.filter((line) => /AuthError|RMQ_AUTH|-secret/.test(line)),
        [],
      )
      // Or there would have been nothing to find it in: of the functions, their metrics and their handlers there were lines.
      for (const each of ['"level":"INFO"', '"PolledEventCount"', '"message":"record"'])
        assert.ok(
          lines.some((line) => line.includes(each)),
          each,
        )
      assert.deepStrictEqual(
        lines.filter((line) => found(line).length > 0),
        [],
      )
    })
  })
}

suite('the local broker', startLocal, false)
suite('RocketMQ', startReal, !(await realBrokerAvailable()))
