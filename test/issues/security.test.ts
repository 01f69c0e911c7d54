/** What looking at the client as an attacker does has found. */
import { deepStrictEqual, doesNotMatch, match, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { HeartBeat, type HeartbeatData, RequestCode } from '../../src/commands/index.ts'
import { type ClientOptions, createClient, createProducer, type RocketMQError } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { runCommand } from '../support/command-line.ts'
import { everything, fakeCluster, json } from '../support/fake-cluster.ts'
import type { FakeAnswer } from '../support/fake-server.ts'

/** How a send fails. */
async function refusal(
  t: TestContext,
  options: Parameters<typeof fakeCluster>[1],
  clientOptions?: ClientOptions,
): Promise<RocketMQError> {
  const cluster = await fakeCluster(t, options)
  const producer = createProducer(cluster.client(clientOptions), { producerGroup: 'g', retries: 0 })
  return await producer.send({ topic: 'orders', body: 'x' }).then(
    () => Promise.reject(new Error('it was sent')),
    (error: RocketMQError) => error,
  )
}

const denying = (remark: string): Parameters<typeof fakeCluster>[1] => ({
  brokers: { 'broker-a': { [RequestCode.SEND_MESSAGE_V2]: () => ({ code: 16, remark }) } },
})

describe('a refusal of access control', () => {
  it('of a disabled user is an AuthError; it was a BrokerError, and rotated credentials were not asked for', async (t) => {
    let asked = 0
    const credentials = () => {
      asked++
      return { accessKey: 'billing', secretKey: 'secret' }
    }

    const { name, code } = await refusal(t, denying('User:billing is disabled.'), { credentials })

    deepStrictEqual([name, code, asked], ['AuthError', 'RMQ_AUTH', 2])
  })

  it('of a disabled user is what the doctor names; it said that the user is taken', async () => {
    const users = { billing: { secretKey: 'key', disabled: true } }
    await using broker = await startBroker({ topics: ['orders'], users })
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
      ROCKETMQ_ACCESS_KEY: 'billing',
      ROCKETMQ_SECRET_KEY: 'key',
    }

    const { stdout } = await runCommand(['doctor', '--topic', 'orders'], { environment })

    match(stdout, /fail +credentials.*User:billing is disabled/)
  })

  it('of who it is says to check the credentials; it said to check the grants', async (t) => {
    for (const remark of [
      'username cannot be null.',
      'User:x is not found.',
      'User:x is disabled.',
      'check signature failed.',
    ])
      match((await refusal(t, denying(remark))).message, /; check the credentials$/)
    const missing = 'User:x has no permission to access Topic:orders from 10.0.0.1, no matched policies.'
    match((await refusal(t, denying(missing))).message, /; check the grants$/)
  })
})

describe('an answer that is made to be large', () => {
  it('has no header above 4 MiB: one of 16 MiB held up the function for seconds, or ended it', async (t) => {
    let asked = 0
    const broker = (): FakeAnswer => {
      asked++
      return { ext: { msgId: 'A', queueId: '0', queueOffset: '1', more: 'x'.repeat(0x40_0000) } }
    }
    const brokers = { 'broker-a': { [RequestCode.SEND_MESSAGE_V2]: broker } }

    const { name, field, message, outcome } = await refusal(t, { brokers })

    deepStrictEqual([name, field, outcome, asked], ['ProtocolError', 'headerLength', 'unknown', 1])
    match(message, /connection lost: headerLength of the frame must be at most 4194304$/)
  })

  it('is no route of more values than brokers have', async (t) => {
    const body = Buffer.from(`{"queueDatas":[],"brokerDatas":[],"x":[${'{},'.repeat(200_000)}{}]}`)
    const nameServer = { [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => ({ body }) }

    const { name, field, message } = await refusal(t, { nameServer })

    deepStrictEqual([name, field], ['ProtocolError', 'json'])
    match(message, /json must have at most 5242880 bytes and 180000 values/)
  })
})

describe('an addressMap', () => {
  it('that gives an address back as it was lets nobody to the metadata service; what it gave was never checked', async (t) => {
    const routes = json({
      queueDatas: [{ brokerName: 'a', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
      brokerDatas: [{ cluster: 'c', brokerName: 'a', brokerAddrs: { 0: '169.254.169.254:80' } }],
    })
    const nameServer = { [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => ({ body: routes }) }
    const addressMap = (address: string): string => address.replace('broker.internal', '127.0.0.1')

    const { name, retryable, message } = await refusal(t, { nameServer }, { addressMap, timeoutMs: 500 })

    deepStrictEqual([name, retryable], ['ConnectError', false])
    match(message, /is link-local/)
  })
})

describe('the metadata service', () => {
  it('is refused in each form that IPv6 has for its address; three of them were let through', async (t) => {
    const cluster = await fakeCluster(t)
    const { addresses } = cluster.client()
    const { addresses: listed } = cluster.client({ allowedAddresses: ['64:ff9b:1::/48'] })
    const forms = [
      '[::169.254.169.254]:80',
      '[::a9fe:a9fe]:80',
      '[::ffff:0:a9fe:a9fe]:80',
      '[::ffff:0:169.254.169.254]:80',
      '[64:ff9b:1::a9fe:a9fe]:80',
      '[64:ff9b:1:a9fe:a9:fe00::]:80',
      // Of instances, and of the credentials of containers.
      '[fd00:ec2::254]:80',
      '[fd00:ec2::23]:80',
      '169.254.170.2:80',
      '169.254.170.23:80',
    ]

    for (const address of forms) {
      ok(addresses.refuse(address) !== undefined, address)
      ok(addresses.refuse('broker:80', address.replace(/^\[?(.*?)\]?:80$/, '$1')) !== undefined, address)
    }
    deepStrictEqual(
      ['[::10.0.0.1]:80', '[::ffff:0:10.0.0.1]:80', '[64:ff9b::a00:1]:80', '[fd00::1]:80'].map((each) =>
        addresses.refuse(each),
      ),
      Array(4).fill(undefined),
    )
    deepStrictEqual(listed.refuse('[64:ff9b:1::a00:1]:80'), undefined)
  })
})

it('SECURITY.md names what serverless.yml allows on *; it said that there was nothing', () => {
  const [deployment = '', security = ''] = ['serverless.yml', 'SECURITY.md'].map((name) =>
    readFileSync(join(import.meta.dirname, '../..', name), 'utf8'),
  )
  const statement = /Effect: Allow\n +Action: \[([\w:, ]+)\](?:\n +#.*)*\n +Resource: '\*'/g
  const allowed = [...deployment.matchAll(statement)].flatMap(([, actions = '']) => actions.split(', '))

  deepStrictEqual(allowed, ['ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets'])
  deepStrictEqual(deployment.match(/Allow(?:(?!Effect).)*?Resource: '\*'/gs)?.length, 1)
  const [claim = ''] = /roles of `serverless\.yml` allow[^|]*/.exec(security) ?? []
  for (const action of allowed) ok(claim.includes(action), action)
})

describe('a name or a remark that holds control characters', () => {
  const HOSTILE = 'red\u001b[31m\u009b2J\r\u202e\u2028\nTopics: none.'
  const UNSAFE = /(?!\n)[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u

  const commands = async (nameServers: string, lines: readonly string[]): Promise<string[]> => {
    const environment = { ROCKETMQ_NAMESRV_ADDR: nameServers, ROCKETMQ_TIMEOUT_MS: '5000' }
    const ended = await Promise.all(
      lines.map((line) => runCommand(line.split(' '), { environment, input: 'n\n' })),
    )
    return ended.map(({ stdout, stderr }) => stdout + stderr)
  }

  it('of a member of a group is shown by its number; it moved the cursor of who looked', async () => {
    await using broker = await startBroker({ topics: ['orders'] })
    broker.createGroup('billing')
    const client = createClient({ nameServers: broker.nameServers })
    const member: HeartbeatData = {
      clientID: HOSTILE,
      producerDataSet: [],
      consumerDataSet: [
        {
          groupName: 'billing',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptionDataSet: [],
          unitMode: false,
        },
      ],
    }
    const address = broker.brokers[0]?.address ?? ''
    await client.network.call(address, HeartBeat, {}, member, { deadline: client.deadline() })

    const lines = ['group members billing', 'group show billing', 'group members billing --json']
    const outputs = await commands(broker.nameServers, lines)

    for (const output of outputs) {
      doesNotMatch(output, UNSAFE)
      doesNotMatch(output, /^Topics/m)
    }
    match(outputs[0] ?? '', /^red\\u\{1b\}\[31m\\u\{9b\}2J\\u\{d\}\\u\{202e\}\\u\{2028\} Topics: none\.$/m)
    deepStrictEqual(JSON.parse(outputs[2] ?? ''), [HOSTILE])
    await client.close()
  })

  it('of a topic, a broker or an answer likewise', async (t) => {
    const deny: FakeAnswer = { code: 16, remark: `${HOSTILE.replace('\n', '')} no permission to` }
    const brokerData = () => ({
      cluster: HOSTILE,
      brokerName: HOSTILE,
      brokerAddrs: { 0: cluster.broker().address },
    })
    const queueDatas = [
      { brokerName: HOSTILE, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 },
    ]
    const cluster = await fakeCluster(t, {
      brokers: { 'broker-a': everything(() => deny) },
      nameServer: {
        [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER]: () => ({
          body: json({ topicList: [HOSTILE, 'orders'] }),
        }),
        [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => ({
          body: json({ queueDatas, brokerDatas: [brokerData()] }),
        }),
        [RequestCode.GET_BROKER_CLUSTER_INFO]: () => ({
          body: json({
            clusterAddrTable: { [HOSTILE]: [HOSTILE] },
            brokerAddrTable: { [HOSTILE]: brokerData() },
          }),
        }),
      },
    })

    const lines = [
      'topic list',
      'send orders x',
      'topic show orders',
      'peek orders',
      'doctor --function publish --topic orders',
    ]
    const outputs = await commands(cluster.nameServer.address, lines)

    for (const output of outputs) doesNotMatch(output, UNSAFE)
    match(outputs[0] ?? '', /^orders +normal$/m)
  })
})
