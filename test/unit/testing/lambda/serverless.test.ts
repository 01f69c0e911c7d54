/** Functions read from a serverless.yml: the project's own, and what is wrong in others. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import {
  type LocalFunction,
  readServerless,
  type ServerlessOptions,
  startLambda,
} from '../../../../src/testing/index.ts'
import { testFolder } from '../../../support/local-lambda.ts'

/** Writes the file beside a bundle, `out/index.mjs`, and reads it. */
async function read(
  t: TestContext,
  yaml: string,
  options?: ServerlessOptions,
): Promise<{ folder: string; functions: Record<string, LocalFunction> }> {
  const folder = await testFolder(t)
  await mkdir(join(folder, 'out'))
  await writeFile(
    join(folder, 'out', 'index.mjs'),
    'export const main = async (event) => ({ event, env: process.env })',
  )
  await writeFile(join(folder, 'serverless.yml'), yaml)
  return { folder, functions: await readServerless(join(folder, 'serverless.yml'), options) }
}

/** The message of what reading throws. */
async function wrong(t: TestContext, yaml: string, options?: ServerlessOptions): Promise<string> {
  const error = await read(t, yaml, options).then(
    () => assert.fail('it was read'),
    (thrown: Error) => thrown,
  )
  assert.equal(error.name, 'ConfigError')
  assert.equal(error.message.includes('\n'), false, error.message)
  return error.message
}

describe('a serverless.yml', () => {
  it('gives functions with their settings, in place of those of the provider', async (t) => {
    const { folder, functions } = await read(
      t,
      `service: test
params:
  default: { table: orders, color: red }
  prod: { color: blue }
custom:
  group: group-\${sls:stage}
provider:
  name: aws
  memorySize: 512
  timeout: 20
  vpc: !Split [',', '\${param:unknown}']
  environment:
    TABLE: \${param:table}
    COLOR: \${param:color}
    BROKER: \${param:broker}
functions:
  one:
    handler: out/index.main
    timeout: 5
    reservedConcurrency: 2
    maximumRetryAttempts: 0
    maximumEventAge: 60
    environment:
      TABLE: mine
      GROUP: \${self:custom.group}
      REGION: \${opt:region, 'eu-central-1'}
      HOME: \${env:HOME}
      ON: true
    events:
      - httpApi: POST /orders/{id}
      - httpApi: '*'
      - httpApi: { path: /health, method: get }
      - schedule: rate(1 minute)
      - schedule:
          rate: [cron(0 9 ? * MON-FRI *), rate(2 hours)]
          enabled: false
          input: { group: '\${self:custom.group}', list: [1] }
      - sqs: arn:aws:sqs:eu-central-1:1:queue
  two:
    handler: out/index.main
`,
      { stage: 'prod', hostEnvironment: { HOME: '/home' }, environment: { BROKER: '127.0.0.1:9876' } },
    )

    const handler = join(folder, 'out', 'index.mjs')
    assert.deepStrictEqual(functions, {
      one: {
        handler,
        exportName: 'main',
        environment: {
          TABLE: 'mine',
          COLOR: 'blue',
          GROUP: 'group-prod',
          REGION: 'eu-central-1',
          HOME: '/home',
          ON: 'true',
          BROKER: '127.0.0.1:9876',
        },
        timeoutSeconds: 5,
        memorySize: 512,
        reservedConcurrency: 2,
        maximumRetryAttempts: 0,
        maximumEventAgeInSeconds: 60,
        events: [
          { httpApi: { method: 'POST', path: '/orders/{id}' } },
          { httpApi: { method: '*', path: '*' } },
          { httpApi: { method: 'get', path: '/health' } },
          { schedule: { rate: ['rate(1 minute)'] } },
          {
            schedule: {
              rate: ['cron(0 9 ? * MON-FRI *)', 'rate(2 hours)'],
              input: { group: 'group-prod', list: [1] },
              enabled: false,
            },
          },
        ],
      },
      two: {
        handler,
        exportName: 'main',
        environment: { TABLE: 'orders', COLOR: 'blue', BROKER: '127.0.0.1:9876' },
        timeoutSeconds: 20,
        memorySize: 512,
        events: [],
      },
    })
    await using lambda = await startLambda({ functions })
    const { payload } = await lambda.invoke('two', 1)
    assert.deepStrictEqual((payload as { env: Record<string, string> }).env['COLOR'], 'blue')
  })

  it('leaves it to resolveHandler which file a handler stands for', async (t) => {
    const yaml = `functions:
  source: { handler: src/orders.main }
  built: { handler: out/index.main }`
    const asked: string[][] = []

    const { folder, functions } = await read(t, yaml, {
      resolveHandler: (path, name) => {
        asked.push([name, path])
        return name === 'source' ? `${path}.ts` : undefined
      },
    })

    assert.deepStrictEqual(asked, [
      ['source', join(folder, 'src/orders')],
      ['built', join(folder, 'out/index')],
    ])
    const files = Object.values(functions).map(({ handler, exportName }) => [handler, exportName])
    assert.deepStrictEqual(files, [
      [join(folder, 'src/orders.ts'), 'main'],
      [join(folder, 'out/index.mjs'), 'main'],
    ])
  })

  const functions = (rest: string): string => `functions:\n  f:\n    handler: out/index.main\n${rest}`

  for (const [what, yaml, message] of [
    ['that is no YAML', 'functions: [', /serverless\.yml: .*at line 1, column 13$/],
    ['with an alias of nothing', 'functions: *all', /serverless\.yml: Unresolved alias .*: all$/],
    ['without functions', 'service: x', /^functions: the file has none$/],
    ['whose functions are text', 'functions: x', /^functions: takes an object, got "x"$/],
    ['without a handler', 'functions: { f: {} }', /^functions\.f\.handler: is missing$/],
    [
      'with a handler that is not there',
      'functions: { f: { handler: out/none.main } }',
      /^functions\.f\.handler: there is no file .*out\/none\.mjs, \.js, \.cjs for "out\/none\.main"; has it been bundled\?$/,
    ],
    [
      'with a handler without an export',
      'functions: { f: { handler: ./out/index } }',
      /^functions\.f\.handler: takes a file and its export, src\/orders\.handler, got "\.\/out\/index"$/,
    ],
    [
      'with a timeout that is no number',
      functions('    timeout: soon'),
      /^functions\.f\.timeout: takes a number, got "soon"$/,
    ],
    [
      'with a parameter that has no value',
      functions(`    environment: { A: "\${param:servers}" }`),
      /^functions\.f\.environment\.A: \$\{param:servers\} has no value here; pass the param servers$/,
    ],
    [
      'with a variable that refers to itself',
      `custom: { a: "\${self:custom.b}x", b: "\${self:custom.a}" }\n` +
        functions(`    environment: { A: "\${self:custom.a}" }`),
      /^functions\.f\.environment\.A: .* refers to itself$/,
    ],
    [
      'with a value of CloudFormation',
      functions('    environment: { A: !Ref Table }'),
      /^functions\.f\.environment\.A: takes text; \{"!Ref":"Table"\} has a value in CloudFormation only$/,
    ],
    [
      'with a list for the environment',
      functions('    environment: [A]'),
      /^functions\.f\.environment: takes an object/,
    ],
    [
      'with events that are no list',
      functions('    events: { httpApi: "*" }'),
      /^functions\.f\.events: takes a list/,
    ],
    [
      'with a route without a path',
      functions('    events: [{ httpApi: {} }]'),
      /^functions\.f\.events\[0\]\.httpApi\.path: is missing$/,
    ],
  ] as const) {
    it(`${what} is refused in one line`, async (t) => {
      assert.match(await wrong(t, yaml), message)
    })
  }

  it('has schedules of EventBridge Scheduler for its functions among the resources', async (t) => {
    const { functions } = await read(
      t,
      `service: shop
params: { default: { state: DISABLED } }
functions:
  check-orders: { handler: out/index.main, events: [{ schedule: rate(1 day) }] }
  named: { handler: out/index.main, name: other }
  idle: { handler: out/index.main }
resources:
  - \${file(more.yml)}
  - Resources: \${file(queues.yml)}
  - Resources:
      Hourly:
        Type: AWS::Scheduler::Schedule
        Properties:
          ScheduleExpression: rate(1 hour)
          State: \${param:state}
          Target:
            Arn: &check !Sub arn:\${AWS::Partition}:lambda:\${AWS::Region}:\${AWS::AccountId}:function:\${self:service}-\${sls:stage}-check-orders
            Input: '{"deep":[1]}'
      Queue: { Type: AWS::SQS::Queue }
  - Resources:
      Nightly:
        Type: AWS::Scheduler::Schedule
        Properties: { ScheduleExpression: cron(0 3 * * ? *), Target: { Arn: *check } }
      ByAttribute:
        Type: AWS::Scheduler::Schedule
        Properties: { ScheduleExpression: rate(2 hours), Target: { Arn: !GetAtt CheckDashordersLambdaFunction.Arn } }
      Other:
        Type: AWS::Scheduler::Schedule
        Properties: { ScheduleExpression: rate(3 hours), Target: { Arn: 'arn:aws:lambda:eu-central-1:1:function:other' } }
      Foreign:
        Type: AWS::Scheduler::Schedule
        Properties: { ScheduleExpression: rate(4 hours), Target: { Arn: !Ref Queue } }
      OfAnotherStack:
        Type: AWS::Scheduler::Schedule
        Properties: { ScheduleExpression: !Ref Rate, State: '\${cf:other.State}', Target: { Arn: '\${cf:other.Arn}' } }
`,
    )

    const schedules = Object.entries(functions).map(([name, { events = [] }]) => [
      name,
      events.map((event) => 'schedule' in event && event.schedule),
    ])
    assert.deepStrictEqual(Object.fromEntries(schedules), {
      'check-orders': [
        { rate: ['rate(1 day)'] },
        { rate: ['rate(1 hour)'], input: { deep: [1] }, enabled: false },
        { rate: ['cron(0 3 * * ? *)'], enabled: true },
        { rate: ['rate(2 hours)'], enabled: true },
      ],
      named: [{ rate: ['rate(3 hours)'], enabled: true }],
      idle: [],
    })
  })

  it('with a schedule whose input is no JSON is refused in one line', async (t) => {
    const resources = `resources:
  Resources:
    Hourly:
      Type: AWS::Scheduler::Schedule
      Properties: { ScheduleExpression: rate(1 hour), Target: { Arn: !GetAtt FLambdaFunction.Arn, Input: '{' } }
`

    assert.equal(
      await wrong(t, `functions: { f: { handler: out/index.main } }\n${resources}`),
      'resources.Resources.Hourly.Properties.Target.Input: takes JSON, got "{"',
    )
  })

  it('that is not there is refused in one line', async () => {
    await assert.rejects(readServerless('/none/serverless.yml'), {
      name: 'ConfigError',
      message: 'path: /none/serverless.yml cannot be read: ENOENT',
    })
  })
})
