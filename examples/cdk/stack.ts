/** Consumes a topic: the function of the package, in a VPC, started each minute. */
import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import { Architecture, Code, Function as Lambda, RecursiveLoop, Runtime } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Schedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler'
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets'
import type { Construct } from 'constructs'

export interface BillingProps extends StackProps {
  /** Such as 10.0.0.5:9876;10.0.0.6:9876 */
  nameServers: string
  /** Where name servers and brokers are reachable. */
  network: { vpcId: string; availabilityZones: string[]; privateSubnetIds: string[]; securityGroupId: string }
  /** False is a pause. */
  enabled?: boolean
  /** The folder of the bundled functions: node_modules/rocketmq-lambda/dist/functions */
  functions: string
}

// #region stack
export class BillingStack extends Stack {
  constructor(scope: Construct, id: string, props: BillingProps) {
    super(scope, id, props)
    const { nameServers, network, enabled = true, functions } = props
    const vpc = Vpc.fromVpcAttributes(this, 'Vpc', network)

    const consume = new Lambda(this, 'Consume', {
      code: Code.fromAsset(`${functions}/consume`),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: 512,
      // Shorter than the schedule, and one at a time: a second one would find the queues leased.
      timeout: Duration.seconds(50),
      reservedConcurrentExecutions: 1,
      recursiveLoop: RecursiveLoop.TERMINATE,
      // A late event is of no use: the next one does the same work.
      retryAttempts: 0,
      maxEventAge: Duration.minutes(1),
      vpc,
      securityGroups: [SecurityGroup.fromSecurityGroupId(this, 'SecurityGroup', network.securityGroupId)],
      logGroup: new LogGroup(this, 'Logs', {
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({
          orders: { topic: 'orders', consumerGroup: 'billing', maximumRetryAttempts: 3 },
        }),
      },
    })

    new Schedule(this, 'EveryMinute', {
      schedule: ScheduleExpression.rate(Duration.minutes(1)),
      target: new LambdaInvoke(consume, { retryAttempts: 0, maxEventAge: Duration.minutes(1) }),
      enabled,
    })
  }
}
// #endregion stack
