import { deepStrictEqual, match } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createClock, type LocalBroker, startBroker } from '../../src/testing/index.ts'
import { type Ended, runCommand, startCommand } from '../support/command-line.ts'

let broker: LocalBroker

before(async () => {
  broker = await startBroker({
    topics: { orders: { queues: 2 }, archive: { queues: 1, perm: 4 }, inbox: { queues: 1, perm: 2 } },
    autoCreateGroups: false,
  })
  broker.createGroup('billing')
})
after(() => broker.close())

const doctor = (args: readonly string[], nameServers = broker.nameServers, more = {}): Promise<Ended> =>
  runCommand(['doctor', '--timeout', '1', ...args], {
    environment: { ROCKETMQ_NAMESRV_ADDR: nameServers, ...more },
  })

interface Finding {
  check: string
  status: string
  text: string
  fix?: string
}

const findingsOf = ({ stdout }: Ended): Finding[] => (JSON.parse(stdout) as { findings: Finding[] }).findings
/** Without what every broker has. */
const withoutServers = (ended: Ended): string[][] =>
  findingsOf(ended)
    .filter(({ check }) => !/^(name server|broker|clock|TLS|credentials)/.test(check))
    .map(({ check, status, text }) => [status, check, text])

describe('rocketmq-lambda doctor', () => {
  it('has a line for each thing, and exits with 0 when all is well', async () => {
    const { code, stdout, stderr } = await doctor([])

    deepStrictEqual([code, stderr], [0, ''])
    const address = broker.brokers[0]?.address
    deepStrictEqual(
      stdout.replace(/in \d+ ms/, 'in a while'),
      `ok    name server ${broker.nameServers}: answers in a while; knows broker-a
ok    broker broker-a ${address}: master, answers
ok    clock of broker-a ${address}: less than 5s from the one here
ok    TLS: off
ok    credentials: none, and brokers want none
`,
    )
  })

  it('looks at what a function needs', async () => {
    const args = ['--json', '--topic', 'orders']
    const publish = await doctor([...args, '--function', 'publish'])
    const consume = await doctor([...args, '--function', 'consume', '--group', 'billing'])
    const check = await doctor([...args, '--function', 'check-transactions'])

    deepStrictEqual([publish.code, consume.code, check.code], [0, 0, 0])
    const topic = ['ok', 'topic orders', 'queues: 2 on broker-a']
    deepStrictEqual(withoutServers(publish), [topic, ['ok', 'may publish to orders', 'yes']])
    deepStrictEqual(withoutServers(consume), [
      topic,
      ['ok', 'may ask for the offsets of orders', 'yes'],
      ['ok', 'group billing', '16 attempts before a message is a dead letter'],
      ['ok', 'may as billing read orders', 'yes'],
    ])
    deepStrictEqual(withoutServers(check).slice(-1), [
      [
        'ok',
        'transaction check of broker-a',
        'first after 6s, then every 30s, 15 times; a window of 35s every 2m sees them',
      ],
    ])
    deepStrictEqual(broker.messages('orders'), [])
  })

  for (const [what, args, expected] of [
    ['a topic that there is not', ['--topic', 'nowhere'], ['fail', 'topic nowhere', 'does not exist']],
    ['a group that there is not', ['--group', 'nobody'], ['fail', 'group nobody', 'does not exist']],
    [
      'a topic that cannot be written',
      ['--topic', 'archive', '--function', 'publish'],
      ['fail', 'topic archive', 'cannot be written on broker-a'],
    ],
    [
      'a topic that cannot be read',
      ['--topic', 'inbox', '--function', 'consume', '--group', 'billing'],
      ['fail', 'topic inbox', 'cannot be read on broker-a'],
    ],
    [
      'a window that is too short',
      ['--topic', 'orders', '--function', 'check-transactions', '--window', '30s'],
      [
        'fail',
        'transaction check of broker-a',
        'first after 6s, then every 30s, 15 times: a window of 30s may see none',
      ],
    ],
    [
      'a schedule that is too rare',
      ['--topic', 'orders', '--function', 'check-transactions', '--every', '1h'],
      [
        'fail',
        'transaction check of broker-a',
        'first after 6s, then every 30s, 15 times: given up after 7m, in which a run every 1h has fewer than two windows',
      ],
    ],
  ] as const) {
    it(`names ${what}, with what to do, and exits with 1`, async () => {
      const ended = await doctor(['--json', ...args])

      const failed = findingsOf(ended).filter(({ status }) => status === 'fail')
      deepStrictEqual(ended.code, 1)
      deepStrictEqual(
        failed.slice(-1).map(({ check, status, text }) => [status, check, text]),
        [expected],
      )
      deepStrictEqual(
        failed.every(({ fix }) => fix !== undefined),
        true,
      )
    })
  }

  it('says of a missing permission what to grant, once', async () => {
    const remark = 'User:fn has no permission to access Topic:orders from 127.0.0.1, no matched policies.'
    const rule = broker.faults.add({ fault: 'refuse', code: [310], responseCode: 16, remark })

    const ended = await doctor(['--topic', 'orders', '--function', 'publish'])
    rule.remove()

    deepStrictEqual(ended.code, 1)
    match(ended.stdout, /\nfail {2}may publish to orders: .*no permission.* → grant Pub on Topic:orders\n$/)
  })

  it('says that credentials are wanted, and that they are wrong', async () => {
    const refuse = (remark: string) =>
      broker.faults.add({ fault: 'refuse', code: [26], responseCode: 16, remark })
    const none = refuse('username cannot be null.')
    const without = await doctor([])
    none.remove()
    const wrong = refuse('check signature failed.')
    const keys = { ROCKETMQ_ACCESS_KEY: 'fn', ROCKETMQ_SECRET_KEY: 'not this one' }
    const refused = await doctor([], broker.nameServers, keys)
    wrong.remove()

    deepStrictEqual([without.code, refused.code], [1, 1])
    match(
      without.stdout,
      /\nfail {2}credentials: none, and brokers want them → set ROCKETMQ_ACCESS_KEY and .*\n$/,
    )
    match(
      refused.stdout,
      /\nfail {2}credentials: .*check signature failed.* → correct ROCKETMQ_ACCESS_KEY and .*\n$/,
    )
    deepStrictEqual(refused.stdout.includes('not this one'), false)
  })

  it('tells a stranger from a missing permission also where access control is that of 4.x', async () => {
    const rule = broker.faults.add({
      fault: 'refuse',
      code: [26, 28],
      responseCode: 1,
      remark:
        'org.apache.rocketmq.acl.common.AclException: No acl config for fn, org.apache.rocketmq.acl.X.y(X.java:1)',
    })
    const ended = await doctor([], broker.nameServers, {
      ROCKETMQ_ACCESS_KEY: 'fn',
      ROCKETMQ_SECRET_KEY: 's',
    })
    rule.remove()

    deepStrictEqual(ended.code, 1)
    match(
      ended.stdout,
      /\nfail {2}credentials: .*No acl config for fn → correct ROCKETMQ_ACCESS_KEY and .*\n$/,
    )
  })

  it('says that what answers is a broker', async () => {
    const remark = ' request type 106 not supported'
    const rule = broker.faults.add({ fault: 'refuse', code: [106], responseCode: 3, remark })
    const { code, stdout } = await doctor([])
    rule.remove()

    deepStrictEqual(code, 1)
    match(
      stdout,
      /^fail {2}name server .* not supported → that is a broker: ROCKETMQ_NAMESRV_ADDR takes .*\n$/,
    )
  })

  it('says which name server does not answer, and goes on with the others', async () => {
    const { code, stdout } = await doctor([], `127.0.0.1:1;${broker.nameServers}`)

    deepStrictEqual(code, 1)
    match(
      stdout,
      /^fail {2}name server 127\.0\.0\.1:1: .*ECONNREFUSED.* → is it running, .*9876.*\nok {4}name server /,
    )
    match(stdout, /\nok {4}credentials: /)
  })

  for (const [what, aheadMs, text] of [
    ['behind', -3_600_000, /^(1h|59m 5\ds) behind the one here$/],
    ['ahead', 3_600_000, /^(1h|59m 5\ds) ahead of the one here$/],
  ] as const)
    it(`says that the clock of a broker is ${what}`, async (t) => {
      const other = await startBroker({ clock: createClock({ at: Date.now() + aheadMs }) })
      t.after(() => other.close())

      const ended = await doctor(['--json'], other.nameServers)

      const found = findingsOf(ended).find(({ check }) => check.startsWith('clock of '))
      deepStrictEqual([ended.code, found?.status], [0, 'warn'])
      match(found?.text ?? '', text)
      match(found?.fix ?? '', /NTP/)
    })

  it('says which broker cannot be reached', async (t) => {
    const other = await startBroker({ brokers: 2 })
    t.after(() => other.close())
    other.brokers[1]?.freeze()

    const { code, stdout } = await doctor([], other.nameServers)
    other.brokers[1]?.resume()

    deepStrictEqual(code, 1)
    match(
      stdout,
      /\nfail {2}broker broker-b 127\.0\.0\.1:\d+: master: .* → is it running, .*brokerIP1.*10911.*\n/,
    )
  })

  for (const [args, line] of [
    [['--function', 'publish'], /^error: --topic: is needed for --function publish\n$/],
    [['--function', 'consume', '--topic', 'orders'], /^error: --group: is needed for --function consume\n$/],
    [['--function', 'fly'], /^error: option '--function <name>' argument 'fly' is invalid\. .*\n$/],
    [['--topic', 'a b'], /^error: --topic: takes only letters, .*\n$/],
    [['--every', 'soon'], /^error: option '--every <time>' argument 'soon' is invalid\. .*\n$/],
  ] as const) {
    it(`called with ${args.join(' ')} says in one line what is wrong, and exits with 2`, async () => {
      const { code, stdout, stderr } = await doctor(args)

      deepStrictEqual([code, stdout], [2, ''])
      match(stderr, line)
    })
  }

  it('into a closed pipe is quiet', async () => {
    const running = startCommand(['doctor'], { environment: { ROCKETMQ_NAMESRV_ADDR: broker.nameServers } })
    running.child.stdout.destroy()

    const { code, stderr } = await running.ended

    deepStrictEqual([code, stderr], [0, ''])
  })
})
