import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { findDeadLetters } from '../../src/cli/dlq/letters.ts'
import { planRedrive, redrive } from '../../src/cli/dlq/redrive.ts'
import { timestamp } from '../../src/cli/output.ts'
import {
  type BatchedMessage,
  type Client,
  createClient,
  createGroupAdmin,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
} from '../../src/index.ts'
import { createClock, type LocalBroker, startBroker } from '../../src/testing/index.ts'
import { broughtAbout, type Ended, runCommand, startCommand } from '../support/command-line.ts'
import { addBroken, bury, killMessages, numbered } from '../support/dead-letters.ts'

const clock = createClock()
let broker: LocalBroker
let client: Client
let groups = 0

before(async () => {
  broker = await startBroker({ topics: { orders: { queues: 1 }, repaired: { queues: 1 } }, clock })
  client = createClient({ nameServers: broker.nameServers })
})
after(async () => {
  await client.close()
  await broker.close()
})

const newGroup = (): string => `billing-${++groups}`

/** Dead letters from a topic of their own. */
async function kill(
  consumerGroup: string,
  messages: readonly BatchedMessage[],
  prefix = 'origin',
): Promise<string> {
  const topic = `${prefix}-${consumerGroup}`
  broker.createTopic(topic, { queues: 1 })
  await killMessages(client, consumerGroup, topic, messages)
  return topic
}

const environment = () => ({ ROCKETMQ_NAMESRV_ADDR: broker.nameServers })

const dlq = (...args: readonly string[]): Promise<Ended> =>
  runCommand(['dlq', ...args], { environment: environment() })

const bodiesOf = (topic: string): string[] => broker.messages(topic).map(({ body }) => body.toString())

describe('rocketmq-lambda dlq redrive', () => {
  it('sends what was shown, and leaves what dies meanwhile to another run', async () => {
    const consumerGroup = newGroup()
    const topic = await kill(consumerGroup, numbered(3))
    const deadLetters = await findDeadLetters(client, consumerGroup)
    const progressGroup = `${consumerGroup}_redrive`
    const shown = await planRedrive(client, { deadLetters, progressGroup })
    await killMessages(client, consumerGroup, topic, numbered(2))

    const options = { consumerGroup, deadLetters, progressGroup, selection: {}, maxRedrives: 3 }
    const agreed = await redrive(client, { ...options, shown })
    const next = await redrive(client, options)

    deepStrictEqual([agreed.redriven, agreed.left, next.redriven, next.left], [3, 0, 2, 0])
  })

  it('has its progress on every broker that has letters, also where the group is on some of them', async () => {
    await using two = await startBroker({ brokers: 2, autoCreateGroups: false })
    const own = createClient({ nameServers: two.nameServers })
    const groups = createGroupAdmin(own)
    await groups.create('billing')
    for (const brokerName of ['broker-a', 'broker-b']) {
      const topic = `on-${brokerName}`
      await createTopicAdmin(own).create(topic, { readQueueNums: 1 }, { brokerName })
      await killMessages(own, 'billing', topic, numbered(2))
    }
    await groups.create('billing_redrive', {}, { brokerName: 'broker-a' })

    const { code, stdout, stderr } = await runCommand(['dlq', 'redrive', 'billing', '--yes', '--json'], {
      environment: { ROCKETMQ_NAMESRV_ADDR: two.nameServers },
    })

    const { byTopic, left } = JSON.parse(stdout) as { byTopic: unknown; left: number }
    const brokers = (await groups.describe('billing_redrive')).map(({ brokerName }) => brokerName)
    await own.close()
    match(stderr, /^Dead letters in %DLQ%billing: 4, .*group billing_redrive\n$/s)
    deepStrictEqual(
      [code, byTopic, left, brokers],
      [0, { 'on-broker-a': 2, 'on-broker-b': 2 }, 0, ['broker-a', 'broker-b']],
    )
  })

  it('sends a message again as it was, under its own id, and counts', async () => {
    const group = newGroup()
    const topic = await kill(group, [
      {
        body: 'x'.repeat(10_000),
        tag: 'created',
        keys: ['order-1', 'customer-7'],
        properties: { kind: 'gift' },
        shardingKey: 'customer-7',
        flag: 5,
        messageId: `ID-${group}`,
      },
    ])

    const { code, stdout, stderr } = await dlq('redrive', group, '--yes')

    deepStrictEqual([code, stderr], [0, ''])
    match(
      stdout,
      new RegExp(`^Dead letters in %DLQ%${group}: 1, to the topics that they were published to:\n`),
    )
    match(stdout, new RegExp(`\n1 sent: 1 to ${topic}\\.\n$`))
    const [original, copy] = broker.messages(topic)
    deepStrictEqual(
      [copy?.body.length, copy?.flag, copy?.properties],
      [10_000, 5, Object.assign(Object.create(null), original?.properties, { REDRIVE_COUNT: '1' })],
    )
  })

  it('sends each once, however often it is run', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(100))

    await dlq('redrive', group, '--yes', '--limit', '30')
    const { stdout } = await dlq('redrive', group, '--yes', '--json')
    await dlq('redrive', group, '--yes')

    deepStrictEqual(JSON.parse(stdout), {
      consumerGroup: group,
      topic: `%DLQ%${group}`,
      progressGroup: `${group}_redrive`,
      dryRun: false,
      read: 70,
      redriven: 70,
      notSelected: 0,
      refused: 0,
      failed: 0,
      byTopic: { [topic]: 70 },
      left: 0,
      problems: [],
    })
    deepStrictEqual(
      bodiesOf(topic).toSorted(),
      [...numbered(100), ...numbered(100)].map(({ body }) => body).toSorted(),
    )
  })

  it('loses none and repeats none but the batch in flight when it is killed and run again', async () => {
    const count = 10_000
    const group = newGroup()
    const topic = await kill(group, numbered(count))
    const first = startCommand(['dlq', 'redrive', group, '--yes'], { environment: environment() })
    const queue = { topic: `%DLQ%${group}`, brokerName: 'broker-a', queueId: 0 }
    const isHalf = (): boolean => (broker.committedOffset(`${group}_redrive`, queue) ?? 0n) >= count / 2

    await broughtAbout(first, 'half of them', isHalf)
    first.child.kill('SIGKILL')
    const { signal } = await first.ended
    await clock.advance(60_000) // its lease
    const again = await dlq('redrive', group, '--yes', '--json')

    deepStrictEqual([signal, again.code], ['SIGKILL', 0])
    const copies = bodiesOf(topic).slice(count)
    deepStrictEqual(new Set(copies).size, count)
    ok(copies.length - count <= 32, `${copies.length - count} were sent twice`)
    const { redriven } = JSON.parse(again.stdout) as { redriven: number }
    ok(redriven < count / 2 + 1, `${redriven} in the second run`)
  })

  it('has a progress of its own for each selection', async () => {
    const group = newGroup()
    const topic = await kill(group, [
      { body: 'a', tag: 'created', keys: ['k1'], properties: { kind: 'gift' } },
      { body: 'b', tag: 'created' },
      { body: 'c', tag: 'deleted', messageId: `C-${group}` },
    ])

    const runs = [
      ['--tag', 'created'],
      ['--tag', 'created'],
      ['--key', 'k1'],
      ['--property', 'kind=gift'],
      ['--id', `C-${group}`],
      ['--topic', 'orders'],
      ['--newer-than', '1h', '--tag', 'deleted'],
      ['--older-than', '1h'],
      ['--to', 'repaired'],
    ]
    const counts: unknown[] = []
    for (const run of runs) {
      const { stdout } = await dlq('redrive', group, '--yes', '--json', ...run)
      const { redriven, notSelected, left } = JSON.parse(stdout) as Record<string, number>
      counts.push([redriven, notSelected, left])
    }

    deepStrictEqual(counts, [
      [2, 1, 0],
      [0, 0, 0],
      [1, 2, 0],
      [1, 2, 0],
      [1, 2, 0],
      [0, 3, 0],
      [1, 2, 0],
      [0, 0, 3],
      [3, 0, 0],
    ])
    deepStrictEqual(bodiesOf('repaired'), ['a', 'b', 'c'])
    deepStrictEqual(bodiesOf(topic).slice(3), ['a', 'b', 'a', 'a', 'c', 'c'])
  })

  it('does not send what was redriven too often, and says so', async () => {
    const group = newGroup()
    const topic = await kill(group, [{ body: 'poison', messageId: `P-${group}` }])
    for (const _ of [1, 2]) {
      deepStrictEqual((await dlq('redrive', group, '--yes', '--max-redrives', '2')).code, 0)
      await bury(client, group, topic)
    }

    const { code, stdout, stderr } = await dlq('redrive', group, '--yes', '--max-redrives', '2')

    deepStrictEqual([code, bodiesOf(topic).length], [1, 3])
    deepStrictEqual(stderr, `broker-a/0@2 P-${group} was redriven 2 times before\n`)
    match(stdout, /\n0 sent; 1 refused, redriven too often before \(--max-redrives\)\.\n$/)
  })

  it('changes nothing in a dry run', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(3))
    const groupsBefore = await createGroupAdmin(client).list()

    const { code, stdout, stderr } = await dlq('redrive', group, '--dry-run')

    deepStrictEqual([code, stderr], [0, ''])
    match(stdout, new RegExp(`\n3 would be sent: 3 to ${topic}\\.\n$`))
    deepStrictEqual([bodiesOf(topic).length, await createGroupAdmin(client).list()], [3, groupsBefore])
  })

  it('stops before what cannot be sent, and goes on after it when told to', async () => {
    const group = newGroup()
    const topic = await kill(group, [{ body: 'a' }])
    const gone = await kill(group, [{ body: 'b', messageId: `B-${group}` }], 'gone')
    await bury(client, group, topic)
    await createProducer(client, { producerGroup: 'test' }).send({ topic, body: 'c' })
    await bury(client, group, topic)
    await createTopicAdmin(client).delete(gone)

    const first = await dlq('redrive', group, '--yes')
    const second = await dlq('redrive', group, '--yes', '--skip-failed')

    deepStrictEqual([first.code, second.code], [1, 1])
    match(
      first.stderr,
      new RegExp(
        `^broker-a/0@1 B-${group} no topic ${gone} .*\nerror: broker-a/0@1 no topic ${gone} .*; --skip-failed goes on with the others\n$`,
      ),
    )
    match(first.stdout, /\n1 sent: 1 to .*; 1 failed; 2 left\.\n$/)
    match(second.stdout, /\n1 sent: 1 to .*; 1 failed\.\n$/)
    deepStrictEqual(bodiesOf(topic), ['a', 'c', 'a', 'c'])
  })

  it('keeps to a rate', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(3))
    const running = startCommand(['dlq', 'redrive', group, '--yes', '--rate', '1'], {
      environment: environment(),
    })

    await broughtAbout(running, 'the first copy', () => bodiesOf(topic).length >= 4)
    running.child.kill('SIGINT')
    const { code, stdout, stderr } = await running.ended

    deepStrictEqual([code, stderr], [1, 'error: stopped; the same command goes on from here\n'])
    match(stdout, /\n1 sent: 1 to .*; 2 left\.\n$/)
  })

  it('sends nothing while another run holds the dead letters', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(3))
    const queue = { topic: `%DLQ%${group}`, brokerName: 'broker-a', queueId: 0 }
    const other = createPullConsumer(client, { consumerGroup: `${group}_redrive` })
    await other.lock([queue])
    const running = startCommand(['dlq', 'redrive', group, '--yes'], { environment: environment() })

    await broughtAbout(running, 'word of it', () => running.output.stderr.includes('waiting up to a minute'))
    const sent = bodiesOf(topic).length - 3
    await other.unlock([queue])
    const { code } = await running.ended

    deepStrictEqual([sent, code, bodiesOf(topic).length], [0, 0, 6])
  })

  it('reads a write-only topic when it is allowed to make it readable', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(1))
    broker.createTopic(`%DLQ%${group}`, { queues: 1, perm: 2 })

    const refused = await dlq('redrive', group, '--yes')
    const fixed = await dlq('redrive', group, '--yes', '--fix-permission')

    deepStrictEqual(
      [refused.code, refused.stdout, refused.stderr],
      [
        1,
        '',
        `error: %DLQ%${group} is write-only on broker-a: give --fix-permission, which makes it readable (perm 6)\n`,
      ],
    )
    deepStrictEqual([fixed.code, fixed.stderr], [0, `%DLQ%${group} can be read now (perm 6).\n`])
    deepStrictEqual(bodiesOf(topic).length, 2)
  })
})

describe('rocketmq-lambda dlq list', () => {
  it('shows the newest first, with what they say of their origin', async () => {
    const group = newGroup()
    const topic = await kill(group, [
      { body: 'a', messageId: `A-${group}` },
      { body: 'b', messageId: `B-${group}`, tag: 't', keys: ['order-1', 'order-2'], properties: { x: '1' } },
    ])

    const { code, stdout, stderr } = await dlq('list', group)
    const json = await dlq('list', group, '--json', '--tag', 't')

    deepStrictEqual([code, stderr], [0, ''])
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/).filter((_, at) => at !== 1))
    deepStrictEqual(rows, [
      ['letter', 'topic', 'message id', 'attempts', 'redrives', 'keys'],
      ['broker-a/0@1', topic, `B-${group}`, '1', '0', 'order-1 order-2'],
      ['broker-a/0@0', topic, `A-${group}`, '1', '0'],
    ])
    const { deadLetters } = JSON.parse(json.stdout) as { deadLetters: Record<string, unknown>[] }
    deepStrictEqual(
      deadLetters.map((each) => omit(each, 'diedAt', 'bornAt')),
      [
        {
          letter: 'broker-a/0@1',
          messageId: `B-${group}`,
          topic,
          tag: 't',
          keys: ['order-1', 'order-2'],
          properties: { x: '1' },
          attempts: 1,
          redrives: 0,
          bodyBytes: 1,
        },
      ],
    )
  })

  it('looks as far back as it must', async () => {
    const group = newGroup()
    await kill(
      group,
      [...numbered(100), { body: 'first' }].map((each, n) => ({ ...each, keys: [`k${n}`] })),
    )

    const { stdout } = await dlq('list', group, '--limit', '70', '--json')
    const first = await dlq('list', group, '--limit', '1', '--key', 'k0', '--json')

    const letters = (text: string) =>
      (JSON.parse(text) as { deadLetters: { letter: string; keys: string[] }[] }).deadLetters
    deepStrictEqual(letters(stdout).length, 70)
    deepStrictEqual(
      letters(first.stdout).map(({ keys }) => keys),
      [['k0']],
    )
  })

  it('lists each once, and names those that cannot be decoded', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(3))
    await addBroken(client, group, { UNIQ_KEY: `BROKEN-${group}`, RETRY_TOPIC: topic })
    await killMessages(client, group, topic, numbered(36))

    const { code, stdout, stderr } = await dlq('list', group, '--limit', '100', '--json')
    const some = await dlq('list', group, '--tag', 'none')

    const { deadLetters, undecodable } = JSON.parse(stdout) as {
      deadLetters: { letter: string }[]
      undecodable: unknown
    }
    const places = Array.from({ length: 40 }, (_, offset) => `broker-a/0@${39 - offset}`)
    const reason = 'body does not decompress'
    const line = `In %DLQ%${group} cannot be decoded: broker-a/0@3 (${reason}); dlq show has what can be known of each\n`
    deepStrictEqual([code, stderr], [0, line])
    deepStrictEqual(
      deadLetters.map(({ letter }) => letter),
      places.filter((each) => each !== 'broker-a/0@3'),
    )
    deepStrictEqual(undecodable, [{ letter: 'broker-a/0@3', messageId: `BROKEN-${group}`, reason }])
    deepStrictEqual(
      [some.code, some.stdout, some.stderr],
      [0, `No dead letters of ${group} that can be decoded.\n`, line],
    )
  })

  it('says when a group has none', async () => {
    const group = newGroup()
    broker.createGroup(group)
    deepStrictEqual(await dlq('list', group), {
      code: 0,
      signal: null,
      stdout: `No dead letters of ${group}.\n`,
      stderr: '',
    })
  })
})

describe('rocketmq-lambda dlq show', () => {
  it('shows one by its id or its place, decompressed', async () => {
    const group = newGroup()
    const topic = await kill(group, [
      {
        body: JSON.stringify({ text: 'x'.repeat(5_000) }),
        messageId: `A-${group}`,
        keys: ['k'],
        properties: { p: 'v' },
      },
    ])

    const byPlace = await dlq('show', group, 'broker-a/0@0')
    const byId = await dlq('show', group, `A-${group}`)
    const json = await dlq('show', group, '0@0', '--json')

    deepStrictEqual([byPlace.code, byPlace.stderr, byId.stdout], [0, '', byPlace.stdout])
    match(byPlace.stdout, new RegExp(`^letter +broker-a/0@0\nmessage id +A-${group}\ntopic +${topic}\n`))
    match(byPlace.stdout, /\nkeys +k\np +v\n/)
    match(byPlace.stdout, /\nbody, 5011 bytes\n\{\n {2}"text": "x{5000}"\n\}\n$/)
    const { letter, topic: origin, message } = JSON.parse(json.stdout) as Record<string, unknown>
    deepStrictEqual([letter, origin, (message as { keys: unknown }).keys], ['broker-a/0@0', topic, ['k']])
  })
})

describe('rocketmq-lambda dlq show of a letter that cannot be decoded', () => {
  it('says so, and what can be known of it', async () => {
    const group = newGroup()
    const topic = await kill(group, numbered(1))
    await addBroken(client, group, { UNIQ_KEY: `BROKEN-${group}`, KEYS: 'order-1', RETRY_TOPIC: topic })

    const shown = await dlq('show', group, 'broker-a/0@1')
    const json = await dlq('show', group, '0@1', '--json')
    const byId = await dlq('show', group, `BROKEN-${group}`)

    const line = 'error: broker-a/0@1 cannot be decoded: body does not decompress\n'
    deepStrictEqual([shown.code, shown.stderr, json.code, json.stderr], [1, line, 1, line])
    match(shown.stdout, new RegExp(`^letter +broker-a/0@1\nmessage id +BROKEN-${group}\ntopic +${topic}\n`))
    match(shown.stdout, /\nkeys +order-1\n/)
    match(shown.stdout, /\nbody as it is stored, 7 bytes\n6e6f207a6c6962\n$/)
    const { letter, topic: origin, message, undecodable } = JSON.parse(json.stdout) as Record<string, object>
    deepStrictEqual(
      [letter, origin, (message as { body: string }).body],
      ['broker-a/0@1', topic, Buffer.from('no zlib').toString('base64')],
    )
    deepStrictEqual((undecodable as { reason: string }).reason, 'body does not decompress')
    deepStrictEqual([byId.code, byId.stdout], [1, ''])
    match(
      byId.stderr,
      /^error: what %DLQ%billing-\d+ has under BROKEN-\S+ cannot be decoded: body does not decompress; dlq list .*\n$/,
    )
  })
})

describe('rocketmq-lambda dlq, called wrongly,', () => {
  const refused = {
    fault: 'refuse',
    code: [30, 31, 11, 14, 41],
    responseCode: 16,
    remark: 'User:fn has no permission to access Topic:x from 127.0.0.1, no matched policies.',
  } as const
  const group = 'wrong-use'
  let before: unknown
  const stateOf = async () => [
    await createGroupAdmin(client).list(),
    await createTopicAdmin(client).list(),
    bodiesOf(`origin-${group}`),
  ]

  it('is prepared', async () => {
    await kill(group, [{ body: 'a' }])
    broker.createGroup('without-letters')
    before = await stateOf()
  })

  for (const [what, args, code, line] of [
    ['a wrong name', ['list', 'no group'], 2, /^error: <group>: takes only letters, .*\n$/],
    [
      'a group that there is not',
      ['list', 'nobody'],
      1,
      /^error: no broker has consumer group nobody; .*\n$/,
    ],
    ['a group that there is not', ['show', 'nobody', '0@0'], 1, /^error: no broker has consumer group .*\n$/],
    [
      'a group that there is not',
      ['redrive', 'nobody', '-y'],
      1,
      /^error: no broker has consumer group .*\n$/,
    ],
    [
      'a letter that there is not',
      ['show', group, 'NO-SUCH-ID'],
      1,
      /^error: %DLQ%wrong-use has no NO-SUCH-ID; .*\n$/,
    ],
    ['a letter that there is not', ['show', group, '0@7'], 1, /^error: %DLQ%wrong-use has no 0@7; .*\n$/],
    [
      'a group without letters',
      ['show', 'without-letters', '0@0'],
      1,
      /^error: %DLQ%without-letters has no 0@0; .*\n$/,
    ],
    [
      'a topic that there is not',
      ['redrive', group, '-y', '--to', 'nowhere'],
      1,
      /^error: no topic nowhere on .*\n$/,
    ],
    [
      'the dead letters themselves as the topic',
      ['redrive', group, '-y', '--to', '%DLQ%wrong-use'],
      2,
      /^error: --to: %DLQ%wrong-use is of a group: take a topic that it reads\n$/,
    ],
    [
      'a retry topic',
      ['redrive', group, '-y', '--to', '%RETRY%wrong-use'],
      2,
      /^error: --to: %RETRY%wrong-use is of a group: .*\n$/,
    ],
    [
      'a topic of the brokers',
      ['redrive', group, '-y', '--to', 'RMQ_SYS_TRANS_HALF_TOPIC'],
      2,
      /^error: --to: RMQ_SYS_TRANS_HALF_TOPIC belongs to the brokers\n$/,
    ],
    [
      'a progress of the brokers',
      ['redrive', group, '-y', '--progress', 'CID_RMQ_SYS_TRANS'],
      2,
      /^error: --progress: CID_RMQ_SYS_TRANS belongs to the brokers\n$/,
    ],
    ['a wrong topic', ['redrive', group, '-y', '--to', 'a b'], 2, /^error: --to: takes only letters, .*\n$/],
    [
      'a wrong progress',
      ['redrive', group, '-y', '--progress', '?'],
      2,
      /^error: --progress: takes only letters, .*\n$/,
    ],
    ['no terminal', ['redrive', group], 2, /^error: --yes: is needed where there is no terminal .*\n$/],
    [
      'a wrong rate',
      ['redrive', group, '--rate', '0'],
      2,
      /^error: option '--rate <n>' argument '0' is invalid\. .*\n$/,
    ],
    ['a wrong time', ['list', group, '--newer-than', 'x'], 2, /^error: option '--newer-than <time>' .*\n$/],
    ['no command', ['drive', group], 2, /^error: unknown command 'drive' \(Did you mean redrive\?\)\n$/],
  ] as const) {
    it(`with ${what} (${args[0]}) says so in one line and changes nothing`, async () => {
      const { code: ended, stderr } = await dlq(...args)

      deepStrictEqual(ended, code)
      match(stderr, line)
      deepStrictEqual(await stateOf(), before)
    })
  }

  it('without a broker says so in one line', async () => {
    const nowhere = { ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1' }
    for (const args of [
      ['list', group],
      ['show', group, '0@0'],
      ['redrive', group, '--yes'],
    ]) {
      const { code, stdout, stderr } = await runCommand(['dlq', ...args, '--timeout', '0.2'], {
        environment: nowhere,
      })

      deepStrictEqual([code, stdout], [1, ''])
      match(stderr, /^error: .*127\.0\.0\.1:1.*ECONNREFUSED.*\n$/)
    }
  })

  it('without an address says so in one line', async () => {
    const { code, stderr } = await runCommand(['dlq', 'list', group], {
      environment: { ROCKETMQ_NAMESRV_ADDR: '' },
    })

    deepStrictEqual(code, 2)
    match(stderr, /^error: ROCKETMQ_NAMESRV_ADDR: is not set: .*\n$/)
  })

  it('without a permission says in one line which', async () => {
    const rule = broker.faults.add(refused)
    for (const args of [
      ['list', group],
      ['show', group, '0@0'],
      ['redrive', group, '--yes'],
    ]) {
      const { code, stderr } = await dlq(...args)

      deepStrictEqual(code, 1)
      match(stderr, /^error: .*User:fn has no permission to access Topic:x.*\n$/)
    }
    rule.remove()
    deepStrictEqual(await stateOf(), before)
  })

  it('into a closed pipe is quiet', async () => {
    for (const args of [
      ['list', group],
      ['show', group, '0@0'],
    ]) {
      const running = startCommand(['dlq', ...args], { environment: environment() })
      running.child.stdout.destroy()

      const { code, stderr } = await running.ended

      deepStrictEqual([code, stderr], [0, ''])
    }
  })
})

function omit(value: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
}

describe('a time that whoever has sent a message has made up', () => {
  it('is shown as the number that it is, where it is no date', () => {
    deepStrictEqual([0, 2 ** 62].map(timestamp), ['1970-01-01T00:00:00.000Z', '4611686018427388000'])
  })
})
