/**
 * The example projects as their scripts bundle and osls packages them: templates, and the zips, run in the local Lambda with a
 * table in memory, on a local and on a real broker, and killed where it hurts. What is sent once has one effect.
 * (examples/orders-dynamodb is killed in test/lambda/orders.test.ts.)
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type LocalTable, startTable as startReports } from '../../examples/hourly-report/local/table.ts'
import { reportTable } from '../../examples/hourly-report/src/report-table.ts'
import { startTable as startBilled } from '../../examples/shop/local/table.ts'
import { type Client, createClient, createProducer, createPullConsumer } from '../../src/index.ts'
import type { EventSourceResult } from '../../src/lambda/index.ts'
import { type LocalLambda, readServerless, startBroker, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import {
  allowed,
  bundleExample,
  cfnLint,
  cfnLintAvailable,
  type Deployment,
  nameIn,
  networkGrants,
  packageDeployment,
  unpackedFunctions,
} from '../support/deployment.ts'
import { type Gate, type Hold, openGate } from '../support/gate.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const hasCfnLint = await cfnLintAvailable()
const hasBroker = await realBrokerAvailable()

const root = join(import.meta.dirname, '../..')
const PROJECTS = {
  shop: ['place-order', 'bill-orders'],
  'hourly-report': ['report-hours'],
  'orders-dynamodb': ['place-order', 'check-orders'],
}
const NETWORK = { subnetIds: 'subnet-0a1b2c3d,subnet-1a1b2c3d', securityGroupIds: 'sg-0a1b2c3d' }
/** A killed invocation keeps its queues for a minute; of the real broker here for 5 s. */
const LEASE_MS = 61_000
/** A claim in the table of shop ends with the time of the invocation. */
const TIMEOUT_SECONDS = 8

interface Broker {
  nameServers: string
  /** Until the leases of a killed invocation have ended. */
  endLeases(): Promise<void>
  stop(): Promise<void>
}

const TOPICS = ['orders', 'invoices']

const startLocal = async (): Promise<Broker> => {
  const topics = Object.fromEntries(TOPICS.map((topic) => [topic, { queues: 1 }]))
  const broker = await startBroker({ topics })
  return {
    nameServers: broker.nameServers,
    endLeases: () => broker.clock.advance(LEASE_MS),
    stop: () => broker.close(),
  }
}

const startReal = async (): Promise<Broker> => {
  const rocketmq = await startRocketMQ({ jvm: ['-Drocketmq.broker.rebalance.lockMaxLiveTime=5000'] })
  for (const topic of TOPICS)
    await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', topic, '-r', '1', '-w', '1')
  // Nothing but time ends them: the functions are called until they get their queues.
  return { nameServers: rocketmq.nameServers, endLeases: async () => {}, stop: () => rocketmq.stop() }
}

describe('the example projects', () => {
  let folder: string
  const deployments: Record<string, Deployment> = {}

  before(async () => {
    // Inside of this folder the zips find AWS's SDK, which they have from the runtime.
    await mkdir(join(root, '.build'), { recursive: true })
    folder = await mkdtemp(join(root, '.build/examples-'))
    for (const name of Object.keys(PROJECTS)) {
      const project = join(root, 'examples', name)
      await bundleExample(project)
      deployments[name] = await packageDeployment(join(folder, name), NETWORK, project)
    }
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('are templates that cfn-lint accepts', { skip: !hasCfnLint }, async () => {
    const said = []
    for (const { templatePath } of Object.values(deployments)) said.push(await cfnLint(templatePath))
    assert.deepStrictEqual(said, ['', '', ''])
  })

  it('have their functions on Node 24, arm64, in the VPC', () => {
    const found = Object.entries(deployments).map(([project, { resources }]) => [
      project,
      Object.values(resources)
        .filter(({ Type }) => Type === 'AWS::Lambda::Function')
        .map(({ Properties: { FunctionName, Runtime, Architectures, VpcConfig } }) => {
          const subnets = VpcConfig.SubnetIds['Fn::Split'][1]
          return [FunctionName, Runtime, ...Architectures, subnets].join(' ')
        }),
    ])
    const expected = Object.entries(PROJECTS).map(([project, names]) => [
      project,
      names.map((name) => `${project}-dev-${name} nodejs24.x arm64 ${NETWORK.subnetIds}`),
    ])
    assert.deepStrictEqual(found, expected)
  })

  it('have schedules that may be paused, which start their function and retry what is worth it', async () => {
    const paused: Deployment[] = []
    for (const name of Object.keys(PROJECTS)) {
      const parameters = { ...NETWORK, state: 'DISABLED' }
      const project = join(root, 'examples', name)
      paused.push(await packageDeployment(join(folder, `${name}-paused`), parameters, project))
    }
    const found = [Object.values(deployments), paused].map((packaged) =>
      packaged.flatMap(({ resources }) =>
        Object.values(resources).flatMap(({ Type, Properties }) => {
          if (Type !== 'AWS::Scheduler::Schedule') return []
          const { State, ScheduleExpression, Target } = Properties
          const { MaximumRetryAttempts, MaximumEventAgeInSeconds } = Target.RetryPolicy
          const retries = `${MaximumRetryAttempts} within ${MaximumEventAgeInSeconds} s`
          return [[State, ScheduleExpression, nameIn(Target.Arn), Target.Input, retries]]
        }),
      ),
    )

    assert.deepStrictEqual(
      found,
      ['ENABLED', 'DISABLED'].map((state) => [
        [state, 'rate(1 minute)', 'function:shop-dev-bill-orders', undefined, '0 within 60 s'],
        [state, 'cron(5 * * * ? *)', 'function:hourly-report-dev-report-hours', undefined, '5 within 1800 s'],
        [state, 'rate(2 minutes)', 'function:orders-dynamodb-dev-check-orders', undefined, '0 within 60 s'],
        [
          state,
          'rate(1 hour)',
          'function:orders-dynamodb-dev-check-orders',
          '{"sweep":true}',
          '3 within 900 s',
        ],
      ]),
    )
  })

  it('have the same schedules when they are run here', async () => {
    const read = await Promise.all(
      Object.keys(PROJECTS).map((name) => readServerless(join(root, 'examples', name, 'serverless.yml'))),
    )
    const schedules = read.flatMap((functions) =>
      Object.entries(functions).flatMap(([name, { events = [] }]) =>
        events.flatMap((event) => ('schedule' in event ? [[name, event.schedule]] : [])),
      ),
    )

    assert.deepStrictEqual(schedules, [
      ['bill-orders', { rate: ['rate(1 minute)'], enabled: true }],
      ['report-hours', { rate: ['cron(5 * * * ? *)'], enabled: true }],
      ['check-orders', { rate: ['rate(2 minutes)'], enabled: true }],
      ['check-orders', { rate: ['rate(1 hour)'], input: { sweep: true }, enabled: true }],
    ])
  })

  it('grant each function what it needs, by name, and ask who calls their APIs for a signature', () => {
    const granted = Object.values(deployments).map(({ resources }) => {
      const entries = Object.entries(resources)
      return Object.fromEntries(
        entries.flatMap(([name, resource]) => {
          if (resource.Type === 'AWS::IAM::Role') return [[name, allowed(resource)]]
          if (resource.Type !== 'AWS::ApiGatewayV2::Route') return []
          return [[resource.Properties.RouteKey, resource.Properties.AuthorizationType]]
        }),
      )
    })
    const roles = Object.values(deployments).map(({ resources }) =>
      Object.values(resources).flatMap(({ Type, Properties }) =>
        Type === 'AWS::Lambda::Function' ? Properties.Role['Fn::GetAtt'][0] : [],
      ),
    )

    const log = (name: string): string =>
      `logs:CreateLogStream,logs:PutLogEvents on log-group:/aws/lambda/${name}:*`
    const invoke = (name: string): string => `lambda:InvokeFunction on function:${name}`
    const table = (actions: string, name: string): string =>
      `${actions.replaceAll(/\b(?=[A-Z])/g, 'dynamodb:')} on ${name}.Arn`
    assert.deepStrictEqual(granted, [
      {
        ScheduleRole: [invoke('shop-dev-bill-orders')],
        PlaceOrderRole: [log('shop-dev-place-order'), ...networkGrants],
        BillOrdersRole: [
          log('shop-dev-bill-orders'),
          ...networkGrants,
          table('GetItem,PutItem,UpdateItem,DeleteItem', 'BilledTable'),
        ],
        'POST /orders': 'AWS_IAM',
      },
      {
        ScheduleRole: [invoke('hourly-report-dev-report-hours')],
        ReportHoursRole: [
          log('hourly-report-dev-report-hours'),
          ...networkGrants,
          table('GetItem,PutItem,Query', 'ReportsTable'),
        ],
      },
      {
        ScheduleRole: [invoke('orders-dynamodb-dev-check-orders')],
        PlaceOrderRole: [
          log('orders-dynamodb-dev-place-order'),
          ...networkGrants,
          table('GetItem,PutItem', 'OrdersTable'),
        ],
        CheckOrdersRole: [
          log('orders-dynamodb-dev-check-orders'),
          ...networkGrants,
          table('GetItem,PutItem', 'OrdersTable'),
        ],
        'POST /orders': 'AWS_IAM',
      },
    ])
    assert.deepStrictEqual(roles, [
      ['PlaceOrderRole', 'BillOrdersRole'],
      ['ReportHoursRole'],
      ['PlaceOrderRole', 'CheckOrdersRole'],
    ])
  })

  for (const [name, start, skip] of [
    ['the local broker', startLocal, false],
    ['a real broker', startReal, !hasBroker],
  ] as const) {
    describe(`run from their zips on ${name}`, { skip }, () => {
      let broker: Broker
      let client: Client
      let table: LocalTable
      let gate: Gate
      let lambda: LocalLambda

      before(async () => {
        broker = await start()
        client = createClient({ nameServers: broker.nameServers, timeoutMs: 15_000 })
        const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
        for (const topic of TOPICS)
          await until('the route', () => consumer.queues(topic).catch(() => undefined))
      })
      after(async () => {
        await client?.close()
        await broker?.stop()
      })

      /** The function of a zip, with a table of its own behind the gate. */
      const deploy = async (
        project: keyof typeof PROJECTS,
        func: string,
        startTable: (name: string) => Promise<LocalTable>,
        variables: Record<string, string>,
        timeoutSeconds: number,
      ): Promise<void> => {
        table = await startTable('table')
        gate = await openGate(table.endpoint)
        const deployment = deployments[project]
        assert.ok(deployment)
        const unpacked = (await unpackedFunctions(deployment, [func]))[func]
        assert.ok(unpacked)
        const environment = {
          ...unpacked.environment,
          ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
          AWS_ENDPOINT_URL_DYNAMODB: gate.endpoint,
          ...variables,
        }
        lambda = await startLambda({
          functions: { [func]: { ...unpacked, environment, timeoutSeconds } },
        })
      }

      const undeploy = async (): Promise<void> => {
        await lambda?.close()
        await gate?.close()
        await table?.[Symbol.asyncDispose]()
      }

      const send = async (body: object): Promise<string> => {
        const producer = createProducer(client, { producerGroup: 'shop' })
        return (await producer.send({ topic: 'orders', body: JSON.stringify(body) })).messageId
      }

      /** The function dies by SIGKILL when such a request is held. */
      const runAndKill = async (func: string, operation: string, hold: Hold): Promise<void> => {
        gate.hold = { [operation]: hold }
        gate.held = 0
        const dying = lambda.invoke(func)
        await until('a request to be held', () => gate.held > 0)
        for (const pid of lambda.pids()[func] ?? []) process.kill(pid, 'SIGKILL')
        const { functionError } = await dying
        gate.hold = {}
        assert.equal(functionError, 'Unhandled')
      }

      /** Runs it until it gets the queues. */
      const runAgain = async <Result>(func: string, isDone: (result: Result) => boolean): Promise<Result> => {
        await broker.endLeases()
        return await until('the queues', async () => {
          const { payload, functionError } = await lambda.invoke(func)
          return functionError === undefined && isDone(payload as Result) && (payload as Result)
        })
      }

      it('shop: an order is billed once, wherever the function is killed between its claim and its commit', async () => {
        await deploy('shop', 'bill-orders', startBilled, { BILLED_TABLE: 'table' }, TIMEOUT_SECONDS)
        try {
          const sent: string[] = []
          const handled: number[] = []
          for (const [operation, hold] of [
            ['PutItem', 'answer'], // it is claimed, and no invoice is written
            ['UpdateItem', 'answer'], // it is noted that the invoice is written, and nothing is committed
          ] as const) {
            sent.push(await send({ order: operation, items: [{ product: 'tea', cents: 450, count: 2 }] }))
            await runAndKill('bill-orders', operation, hold)
            const killedAt = Date.now()
            // Its claim ends with the time it had left.
            await until('its claim to end', () => Date.now() > killedAt + TIMEOUT_SECONDS * 1_000)
            const result = await runAgain<EventSourceResult>(
              'bill-orders',
              ({ leftToOthers }) => leftToOthers === 0,
            )
            handled.push(result.handled)
          }

          const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
          const [queue] = await consumer.queues('invoices')
          assert.ok(queue)
          const { messages } = await consumer.pull(queue, 0n)
          assert.deepStrictEqual(handled, [1, 1])
          assert.deepStrictEqual(
            messages.map(({ messageId }) => messageId),
            sent,
          )
        } finally {
          await undeploy()
        }
      })

      it('hourly-report: an order is counted once when the function is killed before its commit', async () => {
        const from = new Date(Date.now() - 3 * 3_600_000).toISOString()
        const variables = { REPORTS_TABLE: 'table', REPORTS_FROM: from }
        await deploy('hourly-report', 'report-hours', startReports, variables, 30)
        try {
          const messageId = await send({ order: 'order-1', totalCents: 900 })
          await runAndKill('report-hours', 'PutItem', 'answer')
          const { read, reported } = await runAgain<{ read: number; reported: string[] }>(
            'report-hours',
            ({ read }) => read > 0,
          )

          const reports = reportTable(table.dynamodb, 'table')
          const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
          const [queue] = await consumer.queues('orders')
          assert.ok(queue)
          const { messages } = await consumer.pull(queue, 0n)
          const stored = messages.find((message) => message.messageId === messageId)?.storeTimestamp ?? 0
          const { parts } = await reports.hour(new Date(stored).toISOString().slice(0, 13))
          assert.equal(read, messages.length)
          assert.ok(reported.length > 0, 'an hour since then is over')
          assert.deepStrictEqual(
            parts.map(({ orders, totalCents }) => [orders, totalCents]),
            [[1, 900]],
          )
        } finally {
          await undeploy()
        }
      })
    })
  }
})
