/**
 * Topics, groups, and what the credentials may do with them. A permission is tried with a request for a queue that there is not:
 * brokers look at the permission first, so that they either name what is missing, or refuse the queue and do nothing.
 */
import { createGroupAdmin } from '../../client/admin/groups.ts'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import type { Client } from '../../client/client.ts'
import type { Command } from '../../commands/define.ts'
import type { SubscriptionGroupConfig } from '../../commands/groups.ts'
import { GetMaxOffset } from '../../commands/offsets.ts'
import { PULL_SUBSCRIPTION, PullMessage } from '../../commands/pull.ts'
import { PERM_READ, PERM_WRITE, type TopicRouteData } from '../../commands/route.ts'
import { SendMessageV2 } from '../../commands/send.ts'
import { AuthError, BrokerError, RocketMQError } from '../../errors.ts'
import { isUnknownTopic } from '../../routing/name-servers.ts'
import { deadLetterTopic } from '../../wire/names.ts'
import { type Finding, type FunctionName, fail, ok, warn } from './options.ts'
import { messageOf, type Reached } from './servers.ts'

const NO_QUEUE = 0x7fff_ffff

/** What a function does with its topics. */
const WRITES: readonly (FunctionName | undefined)[] = [
  'publish',
  'end-transaction',
  'check-transactions',
  undefined,
]
const READS: readonly (FunctionName | undefined)[] = ['consume', 'dispatch', undefined]

export async function checkTopic(
  client: Client,
  topic: string,
  use: FunctionName | undefined,
  group: string | undefined,
): Promise<Finding[]> {
  const check = `topic ${topic}`
  const route = await routeOf(client, topic)
  if (!route)
    return [
      fail(
        check,
        'does not exist',
        `rocketmq-lambda topic create ${topic}, or check its name and ROCKETMQ_NAMESPACE`,
      ),
    ]
  const writes = WRITES.includes(use)
  const reads = READS.includes(use) && group !== undefined
  const brokers = route.queueDatas.map(({ brokerName }) => brokerName)
  const lacking = (bit: number): string[] =>
    route.queueDatas.filter(({ perm }) => !(perm & bit)).map(({ brokerName }) => brokerName)
  const [unwritable, unreadable] = [lacking(PERM_WRITE), lacking(PERM_READ)]
  const described = route.queueDatas.map(
    ({ brokerName, writeQueueNums }) => `${writeQueueNums} on ${brokerName}`,
  )
  return [
    writes && unwritable.length > 0
      ? fail(
          check,
          `cannot be written on ${unwritable.join(', ')}`,
          'set its perm to 6 (mqadmin updateTopicPerm -p 6)',
        )
      : reads && unreadable.length > 0
        ? fail(
            check,
            `cannot be read on ${unreadable.join(', ')}`,
            'set its perm to 6 (mqadmin updateTopicPerm -p 6)',
          )
        : ok(check, `queues: ${described.join(', ')}`),
    ...(writes ? [await tryGrant(client, topic, brokers, 'Pub', 'fail', 'publish to')] : []),
    ...(READS.includes(use)
      ? [await tryGrant(client, topic, brokers, 'Get', 'warn', 'ask for the offsets of')]
      : []),
  ]
}

async function routeOf(client: Client, topic: string): Promise<TopicRouteData | undefined> {
  try {
    return await createTopicAdmin(client).route(topic)
  } catch (error) {
    if (isUnknownTopic(error)) return undefined
    throw error
  }
}

export async function checkGroup(
  client: Client,
  group: string,
  topics: readonly string[],
  reached: readonly Reached[],
): Promise<Finding[]> {
  const check = `group ${group}`
  const found = await findGroup(client, group)
  if (found === undefined)
    return [warn(check, 'cannot be looked up', 'run doctor with credentials that may list groups')]
  const isMade = reached.some(({ config }) => config?.['autoCreateSubscriptionGroup'] === 'true')
  if (found.length === 0)
    return [
      isMade
        ? warn(
            check,
            'does not exist; brokers make it when it reads first',
            `rocketmq-lambda group create ${group}, or check its name`,
          )
        : fail(check, 'does not exist', `rocketmq-lambda group create ${group}, or check its name`),
    ]
  const [config] = found
  if (found.some(({ consumeEnable }) => !consumeEnable))
    return [
      fail(check, 'is paused: brokers refuse what it reads', 'set consumeEnable to true (docs/operate.md)'),
    ]
  const reads = await Promise.all(topics.map((topic) => tryReading(client, topic, group)))
  return [
    ok(check, `${config?.retryMaxTimes} attempts before a message is a dead letter`),
    ...reads.flat(),
    ...(await checkDeadLetters(client, group)),
  ]
}

/** None, or undefined where that is not permitted. */
async function findGroup(client: Client, group: string): Promise<SubscriptionGroupConfig[] | undefined> {
  const groups = createGroupAdmin(client)
  try {
    if (!(await groups.list()).includes(group)) return []
    return (await groups.describe(group)).map(({ config }) => config)
  } catch (error) {
    if (error instanceof AuthError) return undefined
    throw error
  }
}

async function checkDeadLetters(client: Client, group: string): Promise<Finding[]> {
  const topic = deadLetterTopic(group)
  const route = await routeOf(client, topic)
  if (!route?.queueDatas.some(({ perm }) => !(perm & PERM_READ))) return []
  return [warn(`topic ${topic}`, 'is write-only', `rocketmq-lambda dlq list ${group} --fix-permission`)]
}

async function tryReading(client: Client, topic: string, group: string): Promise<Finding[]> {
  const route = await routeOf(client, topic)
  if (!route) return []
  const brokers = route.queueDatas.map(({ brokerName }) => brokerName)
  return [await tryGrant(client, topic, brokers, 'Sub', 'fail', `as ${group} read`, group)]
}

/** Tries it on every broker of the topic. */
async function tryGrant(
  client: Client,
  topic: string,
  brokers: readonly string[],
  grant: 'Pub' | 'Sub' | 'Get',
  status: 'fail' | 'warn',
  verb: string,
  group = '',
): Promise<Finding> {
  const check = `may ${verb} ${topic}`
  const errors = await Promise.all(
    brokers.map((brokerName) => attempt(client, topic, brokerName, grant, group)),
  )
  const error = errors.find((each) => each !== undefined)
  if (!error) return ok(check, 'yes')
  const fix =
    error instanceof AuthError
      ? `grant ${grant} on Topic:${topic}${group && ` and Group:${group}`}`
      : 'see docs/errors.md'
  return { check, status, text: messageOf(error), fix }
}

/** What stands in the way, if anything does. */
async function attempt(
  client: Client,
  topic: string,
  brokerName: string,
  grant: 'Pub' | 'Sub' | 'Get',
  group: string,
): Promise<RocketMQError | undefined> {
  const name = client.wrap(topic)
  const call = <Q>(
    command: Command<Q, unknown, Buffer | undefined, unknown>,
    request: Q,
    body?: Buffer,
  ): Promise<unknown> =>
    client.callQueue(
      { topic, brokerName, queueId: 0 },
      command as Command<Q, unknown, unknown, unknown>,
      request,
      body,
      {
        deadline: client.deadline(),
      },
    )
  try {
    if (grant === 'Get') await call(GetMaxOffset, { topic: name, queueId: 0 })
    if (grant === 'Pub') await call(SendMessageV2, sendOf(name) as never, Buffer.from('doctor'))
    if (grant === 'Sub') await call(PullMessage, pullOf(name, client.wrap(group)) as never)
    return undefined
  } catch (error) {
    if (!RocketMQError.is(error)) throw error
    return error instanceof BrokerError && /queueId.*is illegal/i.test(error.remark) ? undefined : error
  }
}

const sendOf = (topic: string) => ({
  producerGroup: 'doctor',
  topic,
  defaultTopicQueueNums: 1,
  queueId: NO_QUEUE,
  sysFlag: 0,
  bornTimestamp: BigInt(Date.now()),
  flag: 0,
  properties: '',
  reconsumeTimes: 0,
  unitMode: false,
  batch: false,
})

const pullOf = (topic: string, consumerGroup: string) => ({
  consumerGroup,
  topic,
  queueId: NO_QUEUE,
  queueOffset: 0n,
  maxMsgNums: 1,
  sysFlag: PULL_SUBSCRIPTION,
  suspendTimeoutMillis: 0n,
  subscription: '*',
  expressionType: 'TAG',
})
