/** The same deployment in other tools: the SAM template as it stands, and the CDK stack as it synthesises. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { bundleFunction } from '../../scripts/bundle.ts'
import { cdkAvailable, synthesise } from '../support/cdk.ts'
import { cfnLint, cfnLintAvailable, type Resource, type Tree } from '../support/deployment.ts'

const hasCfnLint = await cfnLintAvailable()
const hasCdk = await cdkAvailable()

const root = join(import.meta.dirname, '../..')
const SAM = join(root, 'examples/sam/template.yaml')
const MAPPINGS = { orders: { topic: 'orders', consumerGroup: 'billing', maximumRetryAttempts: 3 } }
const RETRIES = { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 }

/** The same function by either tool. */
const SETTINGS = {
  Handler: 'index.handler',
  Runtime: 'nodejs24.x',
  Architectures: ['arm64'],
  MemorySize: 512,
  // Below the schedule's rate.
  Timeout: 50,
  ReservedConcurrentExecutions: 1,
  RecursiveLoop: 'Terminate',
}

describe('the SAM template', () => {
  it('is one that cfn-lint accepts', { skip: !hasCfnLint }, async () => {
    assert.deepStrictEqual(await cfnLint(SAM), '')
  })

  it('has the function on Node 24, arm64, in the VPC, with a schedule that may be paused', async () => {
    // Intrinsic functions become what they name.
    const { Resources } = parse(await readFile(SAM, 'utf8'), { logLevel: 'silent' }) as Tree
    const { Properties } = Resources.Consume
    const { Type, Properties: schedule } = Properties.Events.EveryMinute

    const { Events: _events, Environment: _environment, ...settings } = Properties
    assert.deepStrictEqual(settings, {
      CodeUri: 'node_modules/rocketmq-lambda/dist/functions/consume',
      ...SETTINGS,
      VpcConfig: { SubnetIds: 'SubnetIds', SecurityGroupIds: 'SecurityGroupIds' },
      EventInvokeConfig: RETRIES,
    })
    assert.deepStrictEqual(JSON.parse(Properties.Environment.Variables.ROCKETMQ_EVENT_SOURCES), MAPPINGS)
    assert.deepStrictEqual(
      [Type, schedule],
      ['ScheduleV2', { ScheduleExpression: 'rate(1 minute)', State: 'State', RetryPolicy: RETRIES }],
    )
    assert.equal(Resources.ConsumeLogs.Properties.RetentionInDays, 30)
  })
})

const APP = `
import { App } from 'aws-cdk-lib'
import { BillingStack } from './stack.ts'

const app = new App({ outdir: 'cdk.out', analyticsReporting: false })
new BillingStack(app, 'billing', {
  env: { account: '111111111111', region: 'eu-central-1' },
  nameServers: '10.0.0.5:9876',
  network: {
    vpcId: 'vpc-0a1b2c3d',
    availabilityZones: ['eu-central-1a'],
    privateSubnetIds: ['subnet-0a1b2c3d'],
    securityGroupId: 'sg-0a1b2c3d',
  },
  functions: ${JSON.stringify(join(root, '.build/functions'))},
})
app.synth()
`

describe('the CDK stack', { skip: !hasCdk }, () => {
  let path: string
  let resources: Resource[]

  before(async () => {
    await bundleFunction('consume')
    path = await synthesise(join(root, 'examples/cdk/stack.ts'), APP)
    resources = Object.values((JSON.parse(await readFile(path, 'utf8')) as Tree).Resources)
  })

  const only = (type: string): Tree => {
    const found = resources.filter(({ Type }) => Type === type)
    assert.equal(found.length, 1)
    return found[0]?.Properties
  }

  it('synthesises a template that cfn-lint accepts', { skip: !hasCfnLint }, async () => {
    assert.deepStrictEqual(await cfnLint(path), '')
  })

  it('has the function on Node 24, arm64, in the VPC, and a schedule without retries', () => {
    const {
      Environment,
      Code: _code,
      LoggingConfig: _logging,
      Role: _role,
      ...settings
    } = only('AWS::Lambda::Function')
    const { State, ScheduleExpression, Target } = only('AWS::Scheduler::Schedule')

    assert.deepStrictEqual(settings, {
      ...SETTINGS,
      VpcConfig: { SubnetIds: ['subnet-0a1b2c3d'], SecurityGroupIds: ['sg-0a1b2c3d'] },
    })
    assert.deepStrictEqual(JSON.parse(Environment.Variables.ROCKETMQ_EVENT_SOURCES), MAPPINGS)
    const { MaximumRetryAttempts, MaximumEventAgeInSeconds } = Target.RetryPolicy
    assert.deepStrictEqual(
      [State, ScheduleExpression, { MaximumRetryAttempts, MaximumEventAgeInSeconds }],
      ['ENABLED', 'rate(1 minute)', RETRIES],
    )
    const events = only('AWS::Lambda::EventInvokeConfig')
    assert.deepStrictEqual([events.MaximumRetryAttempts, events.MaximumEventAgeInSeconds], [0, 60])
    assert.equal(only('AWS::Logs::LogGroup').RetentionInDays, 30)
  })
})
