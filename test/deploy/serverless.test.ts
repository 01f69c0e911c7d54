/**
 * serverless.yml as osls packages it: what the template grants, schedules and watches; and the zips, unpacked and run in the
 * local Lambda against a real broker: what is tested is what is deployed.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bundleFunction, functionNames } from '../../scripts/bundle.ts'
import type { DispatchResult, EventSourceResult } from '../../src/lambda/index.ts'
import { type LocalLambda, startBroker, startLambda } from '../../src/testing/index.ts'
import {
  allowed,
  cfnLint,
  cfnLintAvailable,
  type Deployment,
  functionOf,
  nameIn,
  networkGrants,
  packageDeployment,
  type Resource,
  type Tree,
  unpackedFunctions,
  unzip,
} from '../support/deployment.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

const hasCfnLint = await cfnLintAvailable()
const hasBroker = await realBrokerAvailable()

const NETWORK = {
  nameServers: '10.0.0.5:9876',
  subnetIds: 'subnet-0a1b2c3d,subnet-1a1b2c3d',
  securityGroupIds: 'sg-0a1b2c3d',
}
/** Every parameter that makes or grants something. */
const EVERYTHING = {
  ...NETWORK,
  secret: 'rocketmq/order-api',
  kmsKey: '0a1b2c3d-0000-4000-8000-000000000000',
  invokes: 'billing-*',
  consumeState: 'DISABLED',
  dispatchState: 'ENABLED',
  checkState: 'ENABLED',
  workers: '5',
  lambdaEndpoint: 'true',
  secretsManagerEndpoint: 'true',
  natGateway: 'true',
  vpcId: 'vpc-0a1b2c3d',
  publicSubnetId: 'subnet-2a1b2c3d',
  routeTableId: 'rtb-0a1b2c3d',
  alarmTopic: 'alarms',
}

describe('the packaged deployment', () => {
  let folder: string
  let deployment: Deployment
  let everything: Deployment

  const ofType = (type: string): [name: string, resource: Resource][] =>
    Object.entries(deployment.resources).filter(([, { Type }]) => Type === type)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-deploy-'))
    for (const name of functionNames) await bundleFunction(name)
    deployment = await packageDeployment(join(folder, 'default'), NETWORK)
    everything = await packageDeployment(join(folder, 'everything'), EVERYTHING)
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is a template that cfn-lint accepts, as it stands and with every parameter', {
    skip: !hasCfnLint,
  }, async () => {
    const untold = await packageDeployment(join(folder, 'untold'), {})
    const found = [await cfnLint(untold.templatePath), await cfnLint(everything.templatePath)]

    assert.deepStrictEqual(found, ['', ''])
  })

  it('has all functions, on Node 24, arm64, in the VPC, each with its own role and logs that end', () => {
    const functions = ofType('AWS::Lambda::Function').map(([, { Properties }]) => Properties)

    assert.deepStrictEqual(
      functions.map(({ FunctionName }) => FunctionName),
      functionNames.map((name) => `rocketmq-lambda-dev-${name}`),
    )
    for (const { FunctionName, Runtime, Architectures, VpcConfig } of functions)
      assert.deepStrictEqual(
        { FunctionName, Runtime, Architectures, VpcConfig },
        {
          FunctionName,
          Runtime: 'nodejs24.x',
          Architectures: ['arm64'],
          VpcConfig: {
            SubnetIds: { 'Fn::Split': [',', NETWORK.subnetIds] },
            SecurityGroupIds: { 'Fn::Split': [',', NETWORK.securityGroupIds] },
          },
        },
      )
    const roles = functions.map(({ Role }) => Role['Fn::GetAtt'][0])
    assert.deepStrictEqual(new Set(roles).size, functionNames.length)
    assert.deepStrictEqual(deployment.resources['IamRoleLambdaExecution'], undefined)
    const logs = ofType('AWS::Logs::LogGroup').map(([, { Properties }]) => Properties.RetentionInDays)
    assert.deepStrictEqual(logs, Array(functionNames.length).fill(30))
  })

  it('puts the bundle of one function into its zip, and nothing else', async () => {
    for (const name of functionNames) {
      const files = Object.keys(await unzip(join(deployment.folder, `${name}.zip`)))
      const { Handler } = functionOf(deployment.resources, name).Properties
      assert.deepStrictEqual(
        files.filter((file) => !file.startsWith(`.build/functions/${name}/`)),
        [],
      )
      assert.ok(
        files.includes(Handler.replace('.handler', '.mjs')),
        `${Handler} is not among ${files.join(' ')}`,
      )
    }
  })

  it('grants each function what it needs, by name', () => {
    const granted = Object.fromEntries(
      [deployment, everything].flatMap(({ resources }, at) =>
        Object.entries(resources)
          .filter(([, { Type }]) => Type === 'AWS::IAM::Role')
          .map(([name, role]) => [`${name}${at === 0 ? '' : ' with everything'}`, allowed(role)]),
      ),
    )

    const log = (name: string): string =>
      `logs:CreateLogStream,logs:PutLogEvents on log-group:/aws/lambda/rocketmq-lambda-dev-${name}:*`
    const invoke = (name: string): string => `lambda:InvokeFunction on function:${name}`
    const [consume, dispatch, check] = ['consume', 'dispatch', 'check-transactions'].map(
      (name) => `rocketmq-lambda-dev-${name}`,
    ) as [string, string, string]
    const secretOf = (name: string, key: string): string[] => [
      `if HasSecret secretsmanager:GetSecretValue on secret:${name}-??????`,
      `if HasKmsKey kms:Decrypt on key/${key}`,
    ]
    const failed = 'sqs:SendMessage on FailedInvocations.Arn'
    const schedules = `${invoke(consume)},function:${dispatch},function:${check}`
    const rolesWith = (secret: string[], invokes: string, suffix: string): object => ({
      [`PublishRole${suffix}`]: [log('publish'), ...networkGrants, ...secret],
      [`ConsumeRole${suffix}`]: [
        log('consume'),
        ...networkGrants,
        ...secret,
        failed,
        `if Invokes ${invoke(invokes)}`,
      ],
      [`DispatchRole${suffix}`]: [log('dispatch'), ...networkGrants, ...secret, invoke(consume)],
      [`EndTransactionRole${suffix}`]: [log('end-transaction'), ...networkGrants, ...secret],
      [`CheckTransactionsRole${suffix}`]: [log('check-transactions'), ...networkGrants, ...secret],
      [`ScheduleRole${suffix}`]: [schedules],
    })
    assert.deepStrictEqual(granted, {
      ...rolesWith(secretOf('', ''), '', ''),
      ...rolesWith(secretOf(EVERYTHING.secret, EVERYTHING.kmsKey), 'billing-*', ' with everything'),
    })
  })

  it('lets no function use the network interfaces that Lambda makes in its name', () => {
    const wrong = Object.entries(deployment.resources).flatMap(([name, role]) => {
      if (role.Type !== 'AWS::IAM::Role' || name === 'ScheduleRole') return []
      const statements: Tree[] = role.Properties.Policies.flatMap(
        (each: Tree) => each.PolicyDocument.Statement,
      )
      const granted = statements.filter(({ Effect }) => Effect === 'Allow').flatMap(({ Action }) => Action)
      const [denied] = statements.filter(({ Effect }) => Effect === 'Deny')
      const isDenied = new Set(denied?.Action)
      assert.match(
        denied.Condition.ArnLike['lambda:SourceFunctionArn']['Fn::Sub'],
        /:function:rocketmq-lambda-dev-\*$/,
      )
      return granted.filter((action: string) => action.startsWith('ec2:') && !isDenied.has(action))
    })

    assert.deepStrictEqual(wrong, [])
  })

  it('starts work by schedules whose state is a parameter, without retries that would come too late', () => {
    const schedules = (resources: Deployment['resources']): object =>
      Object.fromEntries(
        Object.entries(resources).flatMap(([name, { Type, Properties }]) => {
          if (Type !== 'AWS::Scheduler::Schedule') return []
          const { State, ScheduleExpression, Target } = Properties
          const { Arn, Input, RetryPolicy, RoleArn } = Target
          assert.deepStrictEqual(RoleArn, { 'Fn::GetAtt': ['ScheduleRole', 'Arn'] })
          const { MaximumRetryAttempts, MaximumEventAgeInSeconds } = RetryPolicy
          const retries = `${MaximumRetryAttempts} within ${MaximumEventAgeInSeconds} s`
          return [[name, [State, ScheduleExpression, nameIn(Arn), Input, retries]]]
        }),
      )
    const expected = (consume: string, dispatch: string, check: string): object => ({
      ConsumeSchedule: [
        consume,
        'rate(1 minute)',
        'function:rocketmq-lambda-dev-consume',
        undefined,
        '0 within 60 s',
      ],
      DispatchSchedule: [
        dispatch,
        'rate(1 minute)',
        'function:rocketmq-lambda-dev-dispatch',
        undefined,
        '0 within 60 s',
      ],
      CheckSchedule: [
        check,
        'rate(2 minutes)',
        'function:rocketmq-lambda-dev-check-transactions',
        undefined,
        '0 within 60 s',
      ],
      SweepSchedule: [
        check,
        'rate(1 hour)',
        'function:rocketmq-lambda-dev-check-transactions',
        '{"sweep":true}',
        '3 within 900 s',
      ],
    })

    assert.deepStrictEqual(schedules(deployment.resources), expected('ENABLED', 'DISABLED', 'DISABLED'))
    assert.deepStrictEqual(schedules(everything.resources), expected('DISABLED', 'ENABLED', 'ENABLED'))
  })

  it('lets a sweep run beside a window of checks, with which it starts each hour', () => {
    const { ReservedConcurrentExecutions, Timeout } = functionOf(
      deployment.resources,
      'check-transactions',
    ).Properties

    // An event that finds no room is dropped after 60 s: a window may take as long.
    assert.deepStrictEqual([ReservedConcurrentExecutions, Timeout], [2, 60])
  })

  it('bounds the workers, keeps what fails, and stops loops', () => {
    const consume = functionOf(everything.resources, 'consume').Properties
    const [, events] =
      Object.entries(everything.resources).find(([name]) => name === 'ConsumeLambdaEvConf') ?? []

    assert.deepStrictEqual([consume.ReservedConcurrentExecutions, consume.RecursiveLoop], [5, 'Terminate'])
    const { DestinationConfig, MaximumEventAgeInSeconds, MaximumRetryAttempts } = events?.Properties ?? {}
    assert.deepStrictEqual(
      { DestinationConfig, MaximumEventAgeInSeconds, MaximumRetryAttempts },
      {
        DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['FailedInvocations', 'Arn'] } } },
        MaximumEventAgeInSeconds: 60,
        MaximumRetryAttempts: 0,
      },
    )
  })

  it('asks every caller of the API for a signature', () => {
    const routes = ofType('AWS::ApiGatewayV2::Route').map(([, { Properties }]) => [
      Properties.RouteKey,
      Properties.AuthorizationType,
    ])

    assert.deepStrictEqual(routes, [
      ['POST /topics/{topic}/messages', 'AWS_IAM'],
      ['POST /topics/{topic}/transactions', 'AWS_IAM'],
      ['POST /transactions/commit', 'AWS_IAM'],
      ['POST /transactions/rollback', 'AWS_IAM'],
    ])
  })

  it('alarms when lag grows, invocations fail, messages are given up, and when nothing starts the work', () => {
    const alarms = ofType('AWS::CloudWatch::Alarm').map(([name, { Properties }]) => [
      name,
      Properties.TreatMissingData,
      Properties.Metrics?.[0].Expression ?? Properties.MetricName,
    ])

    // What report.ts and the checker write, under the service that the functions have. Its grammar has no OR.
    const from = (dimension: string): string =>
      `FROM SCHEMA("rocketmq-lambda", ${dimension}, service) WHERE service = 'rocketmq-lambda-dev'`
    const ofGroups = from('ConsumerGroup, Topic')
    const ofProducers = from('ProducerGroup')
    assert.deepStrictEqual(alarms, [
      ['LagAlarm', 'notBreaching', `SELECT MAX(MaxOffsetLag) ${ofGroups}`],
      ['DeadLetterAlarm', 'notBreaching', `SELECT SUM(DroppedEventCount) ${ofGroups}`],
      ['ErrorAlarm', 'notBreaching', 'SUM(METRICS())'],
      ['SilentAlarm', { 'Fn::If': ['IsPaused', 'notBreaching', 'breaching'] }, 'Invocations'],
      ['TransactionAlarm', 'notBreaching', `SELECT MAX(NearingLastCheckCount) ${ofProducers}`],
    ])
    const watched = deployment.resources['ErrorAlarm']?.Properties.Metrics.slice(1)
    assert.deepStrictEqual(
      watched.map(({ MetricStat }: Tree) => MetricStat.Metric.Dimensions[0].Value),
      functionNames.map((name) => `rocketmq-lambda-dev-${name}`),
    )
    for (const [, { Properties }] of ofType('AWS::CloudWatch::Alarm'))
      assert.match(JSON.stringify(Properties.AlarmActions), /HasAlarmTopic/)
  })

  it('alarms on metrics that its functions write: by that name, in that namespace, with those dimensions', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
    const own = await packageDeployment(join(folder, 'local'), {
      ...NETWORK,
      nameServers: broker.nameServers,
    })
    const functions = await unpackedFunctions(own, ['consume', 'check-transactions'])
    const lines: string[] = []
    await using lambda = await startLambda({ functions, onLog: ({ line }) => void lines.push(line) })
    await lambda.invoke('consume', {})
    await lambda.invoke('check-transactions', { sweep: true })
    const written = lines.flatMap((line): string[] => {
      if (!line.includes('"_aws"')) return []
      const event = JSON.parse(line.slice(line.indexOf('{'))) as Tree
      const [{ Namespace, Dimensions, Metrics }] = event._aws.CloudWatchMetrics
      return Metrics.map(({ Name }: Tree) => metricOf(Name, Namespace, Dimensions[0], event.service))
    })

    const watched = Object.values(own.resources).flatMap(({ Type, Properties }) => {
      const query: string | undefined =
        Type === 'AWS::CloudWatch::Alarm' && Properties.Metrics?.[0].Expression
      const [, name, namespace = '', dimensions = '', service = ''] =
        /^SELECT \w+\((\w+)\) FROM SCHEMA\("(.+)", (.+)\) WHERE service = '(.+)'$/.exec(query || '') ?? []
      return name ? [metricOf(name, namespace, dimensions.split(', '), service)] : []
    })

    assert.equal(watched.length, 3)
    assert.deepStrictEqual(
      watched.filter((each) => !written.includes(each)),
      [],
    )
  })

  it('makes a way to AWS only where it is asked for', () => {
    const conditions = Object.entries(everything.resources).flatMap(([name, { Type, Condition }]) =>
      Type.startsWith('AWS::EC2::') ? [`${name} if ${Condition}`] : [],
    )

    assert.deepStrictEqual(conditions, [
      'EndpointSecurityGroup if HasEndpoint',
      'LambdaEndpoint if HasLambdaEndpoint',
      'SecretsManagerEndpoint if HasSecretsManagerEndpoint',
      'NatAddress if HasNatGateway',
      'NatGateway if HasNatGateway',
      'NatRoute if HasNatGateway',
    ])
  })

  describe('run from its zips on a real broker', { skip: !hasBroker }, () => {
    let rocketmq: RocketMQ
    let lambda: LocalLambda

    before(async () => {
      rocketmq = await startRocketMQ()
      const { nameServers } = rocketmq
      await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', 'orders', '-r', '2', '-w', '2')
      const deployed = await packageDeployment(join(folder, 'real'), { ...NETWORK, nameServers })
      const functions = await unpackedFunctions(deployed, functionNames)
      const routes = Object.values(deployed.resources).flatMap(({ Type, Properties }) =>
        Type === 'AWS::ApiGatewayV2::Route' ? [Properties.RouteKey.split(' ') as [string, string]] : [],
      )
      for (const [method, path] of routes) {
        const name = path.startsWith('/topics') ? 'publish' : 'end-transaction'
        const { [name]: own } = functions
        if (own) functions[name] = { ...own, events: [...(own.events ?? []), { httpApi: { method, path } }] }
      }
      lambda = await startLambda({ functions })
    })
    after(async () => {
      await lambda?.close()
      await rocketmq?.stop()
    })

    const post = async (
      path: string,
      body: unknown,
    ): Promise<[status: number, body: Record<string, unknown>]> => {
      const response = await fetch(`${lambda.httpUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return [response.status, (await response.json()) as Record<string, unknown>]
    }

    it('publishes, ends a transaction, and consumes both', async () => {
      const [published] = await post('/topics/orders/messages', { body: { orderId: 1 } })
      const [begun, { transaction }] = await post('/topics/orders/transactions', { body: { orderId: 2 } })
      const [ended] = await post('/transactions/commit', { transaction })
      const { payload, functionError } = await lambda.invoke('consume', { version: 1, eventSource: 'orders' })

      assert.deepStrictEqual([published, begun, ended, functionError], [200, 201, 200, undefined])
      assert.deepStrictEqual((payload as EventSourceResult).handled, 2)
    })

    it('checks and sweeps, and the dispatcher finds nothing left to start workers for', async () => {
      const dispatched = await lambda.invoke('dispatch', {})
      const swept = await lambda.invoke('check-transactions', { sweep: true })

      assert.deepStrictEqual([dispatched.functionError, swept.functionError], [undefined, undefined])
      const [{ lag } = { lag: undefined }] = Object.values(
        (dispatched.payload as DispatchResult).eventSources,
      )
      assert.deepStrictEqual(lag, 0)
    })
  })
})

/** A metric as CloudWatch tells one from another. */
function metricOf(name: string, namespace: string, dimensions: readonly string[], service: string): string {
  return `${namespace} ${name} by ${dimensions.toSorted().join()} of ${service}`
}
