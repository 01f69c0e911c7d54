/**
 * Topics, groups, and what the credentials may do with them. A permission is tried with a request for a queue that there is not:
 * brokers look at the permission first, so that they either name what is missing, or refuse the queue and do nothing.
 */
import { createGroupAdmin } from '../../client/admin/groups.ts'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import type { Client } from '../../client/client.ts'
import type { SubscriptionGroupConfig } from '../../commands/groups.ts'
import { QueryMessage } from '../../commands/messages.ts'
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
const MASTER = 0

type Grant = 'Pub' | 'Sub' | 'Get' | 'Get or Sub'

/** What a function does with its topics. */
const WRITES: readonly (FunctionName | undefined)[] = [
  'publish',
  'end-transaction',
  'check-transactions',
  undefined,
]
const READS: readonly (FunctionName | undefined)[] = ['consume', 'dispatch', undefined]
/** The first start of a group asks for the ends of queues; a dispatcher is told by pulls. */
const ASKS: readonly (FunctionName | undefined)[] = ['consume', undefined]

/** What there is to ask with. */
export interface Bench {
  client: Client
  reached: readonly Reached[]
  use: FunctionName | undefined
}

export async function checkTopic(bench: Bench, topic: string, group: string | undefined): Promise<Finding[]> {
  const { client, use } = bench
  const route = await routeOf(client, topic)
  if (!route)
    return [
      fail(
        `topic ${topic}`,
        'does not exist',
        `rocketmq-lambda topic create ${topic}, or check its name and ROCKETMQ_NAMESPACE`,
      ),
    ]
  const writes = WRITES.includes(use)
  const reads = READS.includes(use)
  const names = route.queueDatas.map(({ brokerName }) => brokerName)
  const addresses = mastersOf(bench, names)
  return [
    permOf(topic, route, writes, reads && group !== undefined),
    ...(writes ? [await tryGrant(bench, topic, addresses, 'Pub', 'publish to')] : []),
    ...(ASKS.includes(use) ? [await tryGrant(bench, topic, addresses, 'Get', 'ask for the offsets of')] : []),
  ]
}

function permOf(topic: string, { queueDatas }: TopicRouteData, writes: boolean, reads: boolean): Finding {
  const check = `topic ${topic}`
  const fix = `rocketmq-lambda topic update ${topic} --perm rw`
  const lacking = (bit: number): string =>
    queueDatas.flatMap(({ perm, brokerName }) => (perm & bit ? [] : [brokerName])).join(', ')
  if (writes && lacking(PERM_WRITE)) return fail(check, `cannot be written on ${lacking(PERM_WRITE)}`, fix)
  if (reads && lacking(PERM_READ)) return fail(check, `cannot be read on ${lacking(PERM_READ)}`, fix)
  const queues = queueDatas.map(({ brokerName, writeQueueNums }) => `${writeQueueNums} on ${brokerName}`)
  return ok(check, `queues: ${queues.join(', ')}`)
}

/** What tells that a transaction was ended before (docs/transactions.md). Without it ends are sent all the same. */
export async function checkEnds(bench: Bench, topics: readonly string[]): Promise<Finding[]> {
  const addresses = mastersOf(bench)
  const [half, ends] = ['RMQ_SYS_TRANS_HALF_TOPIC', 'RMQ_SYS_TRANS_OP_HALF_TOPIC']
  const findings: Finding[] = []
  for (const topic of [...topics, half])
    findings.push(await tryGrant(bench, topic, addresses, 'Get or Sub', 'look up messages of', '', 'warn'))
  return [
    ...findings,
    await tryGrant(bench, ends, addresses, 'Get', 'ask for the offsets of', '', 'warn'),
    await tryGrant(bench, ends, addresses, 'Sub', 'read', 'TOOLS_CONSUMER', 'warn'),
  ]
}

const mastersOf = ({ reached }: Bench, names?: readonly string[]): string[] =>
  reached
    .filter(({ brokerId, brokerName }) => brokerId === MASTER && (names?.includes(brokerName) ?? true))
    .map(({ address }) => address)

async function routeOf(client: Client, topic: string): Promise<TopicRouteData | undefined> {
  try {
    return await createTopicAdmin(client).route(topic)
  } catch (error) {
    if (isUnknownTopic(error)) return undefined
    throw error
  }
}

export async function checkGroup(bench: Bench, group: string, topics: readonly string[]): Promise<Finding[]> {
  const { client, reached } = bench
  const check = `group ${group}`
  const create = `rocketmq-lambda group create ${group}, or check its name`
  const found = await findGroup(client, group)
  if (found === undefined)
    return [warn(check, 'cannot be looked up', 'run doctor with credentials that may list groups')]
  const [config] = found
  const isMade = reached.some((each) => each.config?.['autoCreateSubscriptionGroup'] === 'true')
  if (!config && isMade) return [warn(check, 'does not exist; brokers make it when it reads first', create)]
  if (!config) return [fail(check, 'does not exist', create)]
  if (found.some(({ consumeEnable }) => !consumeEnable))
    return [
      fail(
        check,
        'is paused: brokers refuse its reads',
        `rocketmq-lambda group update ${group} --consume on`,
      ),
    ]
  const reads: Finding[] = []
  for (const topic of topics) reads.push(...(await tryReading(bench, topic, group)))
  return [
    ok(check, `${config.retryMaxTimes} attempts before a message is a dead letter`),
    ...reads,
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

async function tryReading(bench: Bench, topic: string, group: string): Promise<Finding[]> {
  const route = await routeOf(bench.client, topic)
  // What cannot be read at all has been said.
  if (!route?.queueDatas.every(({ perm }) => perm & PERM_READ)) return []
  const names = route.queueDatas.map(({ brokerName }) => brokerName)
  return [await tryGrant(bench, topic, mastersOf(bench, names), 'Sub', `as ${group} read`, group)]
}

/**
 * Tries it on every broker of the topic.
 * @param severity of what is missing; without a function nobody knows whether it is needed
 */
async function tryGrant(
  bench: Bench,
  topic: string,
  addresses: readonly string[],
  grant: Grant,
  verb: string,
  group = '',
  severity: 'fail' | 'warn' = bench.use === undefined || grant === 'Get' ? 'warn' : 'fail',
): Promise<Finding> {
  const check = `may ${verb} ${topic}`
  const errors = await Promise.all(addresses.map((address) => attempt(bench, address, topic, grant, group)))
  const error = errors.find((each) => each !== undefined)
  if (!error) return ok(check, 'yes')
  const where = `Topic:${topic}${group && ` and Group:${group}`}`
  const fix = error instanceof AuthError ? `grant ${grant} on ${where}` : 'see docs/errors.md'
  return { check, status: severity, text: messageOf(error), fix }
}

/** What stands in the way, if anything does. */
async function attempt(
  { client }: Bench,
  address: string,
  topic: string,
  grant: Grant,
  group: string,
): Promise<RocketMQError | undefined> {
  const limits = { deadline: client.deadline(), topic }
  const name = client.wrap(topic)
  const { call } = client.network
  try {
    if (grant === 'Get or Sub') await call(address, QueryMessage, queryOf(name), undefined, limits)
    if (grant === 'Get') await call(address, GetMaxOffset, { topic: name, queueId: 0 }, undefined, limits)
    if (grant === 'Pub') await call(address, SendMessageV2, sendOf(name), Buffer.from('doctor'), limits)
    if (grant === 'Sub') await call(address, PullMessage, pullOf(name, client.wrap(group)), undefined, limits)
    return undefined
  } catch (error) {
    if (!RocketMQError.is(error)) throw error
    if (!(error instanceof BrokerError)) return error
    // Topics that are asked about are there, but for the list of ends: it comes with the first one.
    return /queueId.*is illegal/i.test(error.remark) || isUnknownTopic(error) ? undefined : error
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

const queryOf = (topic: string) => ({
  topic,
  key: 'doctor',
  maxNum: 1,
  beginTimestamp: 0n,
  endTimestamp: BigInt(Date.now()),
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
