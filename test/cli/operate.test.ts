/** The commands for brokers, each as a process, with the local broker; on a terminal and in a pipe. */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, before, beforeEach, describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createGroupAdmin,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
} from '../../src/index.ts'
import { type LocalBroker, startBroker } from '../../src/testing/index.ts'
import {
  type Ended,
  hasTerminal,
  runCommand,
  runOnFullDisk,
  runOnTerminal,
  startCommand,
} from '../support/command-line.ts'

/** Processes. */
const AT_ONCE = 4
const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

describe('rocketmq-lambda with a broker', () => {
  let broker: LocalBroker
  let client: Client
  let environment: Record<string, string>
  const run = (args: readonly string[], input?: string): Promise<Ended> =>
    runCommand(args, { environment, ...(input === undefined ? {} : { input }) })
  const json = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await run([...args, '--json'])
    deepStrictEqual([code, stderr], [0, ''])
    return JSON.parse(stdout)
  }
  const commit = (offset: bigint): Promise<void> =>
    createPullConsumer(client, { consumerGroup: 'billing' }).commitOffset(QUEUE, offset)

  /** Everything that a command could change. */
  const state = async (): Promise<unknown> => ({
    topics: await createTopicAdmin(client).list(),
    groups: await createGroupAdmin(client).list(),
    lag: broker.lag(),
    stored: broker.messages('orders').length,
  })

  before(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith('ROCKETMQ_')) delete process.env[name]
  })
  beforeEach(async () => {
    broker = await startBroker({ topics: { orders: { queues: 2 } } })
    broker.createGroup('billing')
    environment = { ROCKETMQ_NAMESRV_ADDR: broker.nameServers }
    client = createClient({ nameServers: broker.nameServers })
    const producer = createProducer(client, { producerGroup: 'p' })
    for (const n of [1, 2, 3])
      await producer.send({ topic: 'orders', body: `{"order":${n}}`, keys: `order-${n}`, queue: QUEUE })
    await commit(1n)
  })
  afterEach(async () => {
    await client.close()
    await broker.close()
  })

  describe('called wrongly', () => {
    const NO_ADDRESS = { ROCKETMQ_NAMESRV_ADDR: '' }
    const CLOSED = { ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1' }
    const CASES: readonly (readonly [
      what: string,
      args: string,
      code: number,
      line: RegExp,
      environment?: Readonly<Record<string, string>>,
    ])[] = [
      ['a misspelt topic', 'send ordres x', 1, /^no broker has topic ordres; create it, or check its name/],
      ['a misspelt topic', 'peek ordres', 1, /^no topic ordres on .*; create it, or check the namespace$/],
      ['a misspelt topic', 'reset billing ordres --to latest --yes', 1, /^no topic ordres on /],
      ['a misspelt topic', 'topic show ordres', 1, /^no broker has topic ordres; create it/],
      ['a misspelt topic', 'topic delete ordres --yes', 1, /^no broker has topic ordres; create it/],
      ['a misspelt topic', 'lag billing ordres', 1, /^no broker has topic ordres; create it/],
      ['a misspelt group', 'lag bilings', 1, /^no broker has consumer group bilings; create it/],
      [
        'a misspelt group',
        'reset bilings orders --to latest --yes',
        1,
        /^no broker has consumer group bilings;/,
      ],
      ['a misspelt group', 'group show bilings', 1, /^no broker has consumer group bilings;/],
      ['a misspelt group', 'group members bilings', 1, /^no broker has consumer group bilings;/],
      ['a misspelt group', 'group delete bilings --yes', 1, /^no broker has consumer group bilings;/],
      ['a name that there cannot be', 'topic create a.b', 2, /^<topic>: takes only letters.* got "a\.b"$/],
      ['a name that there cannot be', 'group create a.b', 2, /^<group>: takes only letters.* got "a\.b"$/],
      [
        'other settings',
        'topic create orders',
        2,
        /^<topic>: orders is on broker-a with other readQueueNums; nothing was changed, update does that$/,
      ],
      [
        'other settings',
        'group create billing --retry-max 3',
        2,
        /^<group>: billing is on broker-a with other retryMaxTimes; nothing/,
      ],
      [
        'a misspelt topic',
        'topic update ordres --queues 3 --yes',
        1,
        /^no broker has topic ordres; create it/,
      ],
      [
        'a misspelt group',
        'group update bilings --consume off --yes',
        1,
        /^no broker has consumer group bilings;/,
      ],
      [
        'no change',
        'topic update orders',
        2,
        /^topic update: give what shall change: --queues, --perm, --type, …$/,
      ],
      [
        'no change',
        'group update billing',
        2,
        /^group update: give what shall change: --retry-max, --consume, …$/,
      ],
      ['neither on nor off', 'group update billing --consume no', 2, /It takes on or off\.$/],
      [
        'queues that nobody reads',
        'topic update orders --write-queues 3 --yes',
        2,
        /^--write-queues: 3 are more than the 2 that are read on broker-a$/,
      ],
      [
        'no answer to be had',
        'topic update orders --queues 3',
        2,
        /^--yes: is needed where there is no terminal/,
      ],
      ['no answer to be had', 'group update billing --consume off', 2, /^--yes: is needed where there is no/],
      ...['update --queues 3', 'delete'].flatMap((action) => {
        const [name = '', ...rest] = action.split(' ')
        return ['TBW102', 'RMQ_SYS_TRANS_HALF_TOPIC', 'RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC'].map(
          (topic) =>
            [
              'a topic of the brokers',
              ['topic', name, topic, ...rest, '--yes'].join(' '),
              2,
              /^<topic>: \w+ belongs to the brokers$/,
            ] as const,
        )
      }),
      [
        'a group of the brokers',
        'group update TOOLS_CONSUMER --consume off --yes',
        2,
        /^<group>: TOOLS_CONSUMER belongs/,
      ],
      ['a group of the brokers', 'group delete TOOLS_CONSUMER --yes', 2, /^<group>: TOOLS_CONSUMER belongs/],
      ['a group of the brokers', 'group create CID_RMQ_SYS_x', 2, /^<group>: CID_RMQ_SYS_x belongs to the/],
      [
        'a group of the brokers',
        'reset TOOLS_CONSUMER orders --to latest --yes',
        2,
        /^<group>: TOOLS_CONSUMER belongs to the/,
      ],
      ['a group of the brokers', 'group create TOOLS_CONSUMER', 2, /^<group>: TOOLS_CONSUMER belongs to the/],
      [
        'a group of the brokers',
        'group update CID_RMQ_SYS_x --consume off --yes',
        2,
        /^<group>: CID_RMQ_SYS_x belongs to the/,
      ],
      ['a topic of the brokers', 'topic create TBW102', 2, /^<topic>: TBW102 belongs to the brokers$/],
      [
        'a cluster that is not there',
        'topic create x --cluster eu',
        2,
        /^--cluster: there is no eu, but DefaultCluster$/,
      ],
      [
        'a broker that is not there',
        'group create x --broker b',
        2,
        /^--broker: there is no master of b, but broker-a$/,
      ],
      [
        'a queue that is not there',
        'peek orders --queue 7',
        2,
        /^--queue: orders has broker-a\/0, broker-a\/1$/,
      ],
      [
        'a queue that is not there',
        'reset billing orders --queue 7 --to 0 --yes',
        2,
        /^--queue: orders has /,
      ],
      [
        'an offset that is not there',
        'reset billing orders --to 9 --queue 0 --yes',
        2,
        /^--to: 9 is not in orders\/broker-a\/0, which has 0 to 3$/,
      ],
      ['no place', 'reset billing orders', 2, /^required option '--to <place>' not specified$/],
      [
        'a time without its zone',
        'reset billing orders --to 2026-03-01T02:00:00',
        2,
        /It takes earliest, latest, an offset, a time such as 2026-03-01T02:00:00Z, or how long ago: 15m, 2h, 3d\.$/,
      ],
      ['no body', 'send orders', 2, /^<body>: give it as text, as - for stdin, or by --file, one of these$/],
      ['two bodies', 'send orders x --file y', 2, /^<body>: give it as text/],
      ['an empty body', 'send orders -', 2, /^<body>: takes text or bytes, 1 to 4194304 of them, got 0$/],
      [
        'a file that is not there',
        'send orders --file nowhere',
        2,
        /^--file: nowhere cannot be read \(ENOENT\)$/,
      ],
      ['a wrong tag', 'send orders x --tag a|b', 2, /^--tag: must not contain/],
      ['a wrong property', 'send orders x --property TAGS=b', 2, /^--property: TAGS: the name is reserved$/],
      [
        'two delays',
        'send orders x --delay 1s --delay-level 2',
        2,
        /^option '--delay <time>' cannot be used with option '--delay-level <n>'$/,
      ],
      [
        'a queue that is not there',
        'send orders x --queue broker-a/9',
        2,
        /^--queue: orders has broker-a\/0 to 1$/,
      ],
      [
        'a broker that is not there',
        'send orders x --queue b/0',
        2,
        /^--queue: orders has broker-a\/0 to 1$/,
      ],
      ...['%DLQ%billing', '%RETRY%billing'].map(
        (topic) =>
          [
            'a topic of a group',
            `send ${topic} x`,
            2,
            /^<topic>: %(DLQ|RETRY)%billing is of a group: take a topic that it reads$/,
          ] as const,
      ),
      ['two places', 'peek orders --offset 1 --from 1h', 2, /cannot be used with option '--from <time>'$/],
      ['no key', 'peek orders --key=', 2, /^--key: takes non-empty text/],
      ['no id', 'peek orders --id=', 2, /^--id: takes non-empty text/],
      ['a topic of the brokers', 'send TBW102 x', 2, /^<topic>: TBW102 belongs to the brokers$/],
      ['a key that nothing has', 'peek orders --key nothing', 1, /^no message of orders has key nothing; /],
      ['an id that nothing has', 'peek orders --id nothing', 1, /^no message of orders has id nothing; /],
      [
        'no answer to be had',
        'reset billing orders --to latest',
        2,
        /^--yes: is needed where there is no terminal to ask on; nothing was changed$/,
      ],
      ['no answer to be had', 'topic delete orders', 2, /^--yes: is needed where there is no terminal/],
      ['no answer to be had', 'group delete billing', 2, /^--yes: is needed where there is no terminal/],
      [
        'no address',
        'lag billing',
        2,
        /^ROCKETMQ_NAMESRV_ADDR: is not set: it takes host:port of the name servers, or give --connection <file>$/,
        NO_ADDRESS,
      ],
      [
        'a wrong address',
        'topic list',
        2,
        /^ROCKETMQ_NAMESRV_ADDR: takes host:port/,
        { ROCKETMQ_NAMESRV_ADDR: 'x' },
      ],
      [
        'neither true nor false',
        'topic list',
        2,
        /^ROCKETMQ_TLS: takes true or false, got yes$/,
        { ROCKETMQ_TLS: 'yes' },
      ],
      ['half of the credentials', 'topic list', 2, /^ROCKETMQ_SECRET_KEY: /, { ROCKETMQ_ACCESS_KEY: 'a' }],
      [
        'no file of a connection',
        'group list --connection nowhere',
        2,
        /^--connection: nowhere cannot be read \(ENOENT\)$/,
      ],
      ...[
        'send orders x',
        'peek orders',
        'lag billing',
        'reset billing orders --to latest --yes',
        'topic list',
        'topic show orders',
        'topic create x',
        'topic update orders --perm r --yes',
        'topic delete orders --yes',
        'group list',
        'group show billing',
        'group create x',
        'group update billing --consume off --yes',
        'group delete billing --yes',
        'group members billing',
      ].map(
        (args) => ['no broker', args, 1, /^no connection to 127\.0\.0\.1:1: ECONNREFUSED/, CLOSED] as const,
      ),
    ]
    it('each says in one line what is wrong, and changes nothing', async () => {
      const was = await state()

      const check = async ([what, args, code, line, own = {}]: (typeof CASES)[number]): Promise<void> => {
        const ended = await runCommand(args.split(' '), { environment: { ...environment, ...own } })
        const name = `${what}: ${args}`
        deepStrictEqual([name, ended.code], [name, code], ended.stderr)
        match(ended.stderr, /^error: [^\n]+\n$/, name)
        match(ended.stderr.slice('error: '.length, -1), line, name)
      }
      for (let at = 0; at < CASES.length; at += AT_ONCE)
        await Promise.all(CASES.slice(at, at + AT_ONCE).map(check))

      deepStrictEqual(await state(), was)
    })
  })

  it('says what is not permitted, and to whom, and changes nothing', async () => {
    const was = await state()
    const remark = 'User:reader has no permission to access Topic:orders from 127.0.0.1, no matched policies.'
    broker.faults.add({ fault: 'refuse', responseCode: 16, remark, server: 'broker-a' })

    for (const args of [
      'send orders x',
      'peek orders',
      'lag billing',
      'reset billing orders --to latest --yes',
      'topic show orders',
      'topic create x',
      'topic update orders --perm r --yes',
      'topic delete orders --yes',
      'group list',
      'group create x',
      'group update billing --consume off --yes',
      'group delete billing --yes',
    ]) {
      const { code, stderr, stdout } = await run(args.split(' '))

      deepStrictEqual([args, code, stdout, stderr.trimEnd().split('\n').length], [args, 1, '', 1])
      match(
        stderr,
        /^error: .*127\.0\.0\.1:\d+.*User:reader has no permission.*; grant [\w ]+ on Topic:orders\n$/,
        args,
      )
    }

    broker.faults.clear()
    deepStrictEqual(await state(), was)
  })

  for (const [args, said, line] of [
    ['send orders x', 'No default permission for topic:orders', 'grant orders=PUB in topicPerms'],
    ['lag billing', 'No default permission for group:billing', 'grant billing=SUB in groupPerms'],
    [
      'group update billing --retry-max 3 --yes',
      'Need admin permission for request code=200, but accessKey=reader is not',
      'it takes an account with admin: true',
    ],
  ] as const)
    it(`says what access control of 4.x wants of ${args}, which refuses with code 1`, async () => {
      const was = await state()
      const remark = `org.apache.rocketmq.acl.common.AclException: ${said}, org.apache.rocketmq.acl.plain.X.y(X.java:1)`
      const code = [310, 208, 200]
      broker.faults.add({ fault: 'refuse', code, responseCode: 1, remark, server: 'broker-a' })

      const ended = await run(args.split(' '))
      broker.faults.clear()

      match(ended.stderr, new RegExp(`^error: .* with code 1: ${said.split(',')[0]}; ${line}\n$`))
      deepStrictEqual([ended.code, await state()], [1, was])
    })

  it('says that what answers is no name server', async () => {
    const refused = { fault: 'refuse', responseCode: 3, remark: ' request type 206 not supported' } as const
    broker.faults.add({ ...refused, code: 206 })

    const { code, stderr } = await run(['topic', 'list'])

    deepStrictEqual(code, 1)
    match(
      stderr,
      /^error: .* request type 206 not supported; is that a name server\? ROCKETMQ_NAMESRV_ADDR .*\n$/,
    )
  })

  it('says what a broker that does not answer may have done, and which option waits longer', async () => {
    broker.faults.add({ fault: 'lose-answer', server: 'broker-a' })

    const sent = await run(['send', 'orders', 'x', '--timeout', '1'])
    const read = await run(['lag', 'billing', '--timeout', '1'])

    const line = /^error: request \d+ to 127\.0\.0\.1:\d+ took too long: --timeout/
    match(
      sent.stderr,
      new RegExp(`${line.source}; it may have been done all the same: look before you repeat it\\n$`),
    )
    match(read.stderr, new RegExp(`${line.source}\\n$`))
    deepStrictEqual([sent.code, read.code], [1, 1])
  })

  describe('send', () => {
    it('stores text with all that it is given, and says where', async () => {
      const sent = (await json(
        ...['send', 'orders', '{"order":4}', '--tag', 'created', '--key', 'a', '--key', 'b'],
        ...['--property', 'source=shell', '--queue', 'broker-a/1'],
      )) as Record<string, unknown>

      const [message] = broker.messages('orders').filter(({ queueId }) => queueId === 1)
      const { TAGS, KEYS, source, UNIQ_KEY } = message?.properties ?? {}
      deepStrictEqual(
        [message?.body.toString(), TAGS, KEYS, source, UNIQ_KEY],
        ['{"order":4}', 'created', 'a b', 'shell', sent['messageId']],
      )
      deepStrictEqual(
        [sent['status'], sent['queue'], sent['queueOffset']],
        ['SEND_OK', { topic: 'orders', brokerName: 'broker-a', queueId: 1 }, '0'],
      )
    })

    it('stores the bytes of stdin and of a file as they are', async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-send-'))
      t.after(() => rm(folder, { recursive: true }))
      await writeFile(join(folder, 'body'), Buffer.from([0xff, 0, 10]))

      const piped = await run(['send', 'orders', '-', '--queue', 'broker-a/1'], 'line\n')
      const file = await run(['send', 'orders', '--file', join(folder, 'body'), '--queue', 'broker-a/1'])

      match(piped.stdout, /^Stored in orders\/broker-a\/1 at 0\.\nmessage id {9}[0-9A-F]{32}\n/)
      const bodies = broker.messages('orders').filter(({ queueId }) => queueId === 1)
      deepStrictEqual(
        [file.code, bodies.map(({ body }) => body.toString('hex'))],
        [0, [Buffer.from('line\n').toString('hex'), 'ff000a']],
      )
    })
  })

  describe('peek', () => {
    const offsets = async (...args: string[]): Promise<string[]> => {
      const { code, stdout, stderr } = await run(['peek', 'orders', ...args, '--json'])
      deepStrictEqual([code, stderr], [0, ''])
      return stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { queueOffset: string }).queueOffset)
    }

    it('shows the newest, or from an offset or a time on, or by key or id, and touches nothing', async () => {
      const was = await state()
      const [, second] = broker.messages('orders')
      const at = new Date(Number(second?.storeTimestamp)).toISOString()

      const found = {
        all: await offsets(),
        tail: await offsets('--tail', '2'),
        offset: await offsets('--offset', '1', '--limit', '1'),
        end: await offsets('--offset', '3'),
        time: (await offsets('--from', at)).at(-1),
        later: await offsets('--from', '0s'),
        other: await offsets('--queue', 'broker-a/1'),
        key: await offsets('--key', 'order-2'),
        id: await offsets('--id', second?.properties['UNIQ_KEY'] ?? ''),
        offsetId: await offsets('--id', second?.offsetMessageId ?? ''),
      }

      deepStrictEqual(found, {
        all: ['0', '1', '2'],
        tail: ['1', '2'],
        offset: ['1'],
        end: [],
        time: '2',
        later: [],
        other: [],
        key: ['1'],
        id: ['1'],
        offsetId: ['1'],
      })
      deepStrictEqual(await state(), was)
    })

    it('prints JSON by the line with its numbers as they are, decompressed, and cuts long bodies', async () => {
      const body = `{"n": 12345678901234567890,"text":"${'x'.repeat(5_000)}"}`
      await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body, tag: 't' })

      const { stdout } = await run(['peek', 'orders', '--tail', '1', '--max-body', '60'])

      match(
        stdout,
        /^orders\/broker-a\/\d at \d {2}\S+Z, \ds ago\nid: \w+\ntag: t\n\{\n {2}"n": 12345678901234567890,\n {2}"text": "x+\n… \d+ more characters: --max-body \d+\n\n$/,
      )
    })

    it('lets no message write on the terminal, and shows what is no text as base64', async () => {
      const producer = createProducer(client, { producerGroup: 'p' })
      await producer.send({
        topic: 'orders',
        body: '\u001b[2Jgone \u202e',
        properties: { a: '\u009b1m' },
        queue: QUEUE,
      })
      await producer.send({ topic: 'orders', body: Buffer.from([0xff, 1]), queue: QUEUE })

      const { stdout } = await run(['peek', 'orders', '--tail', '2'])

      match(stdout, /\nproperty a: \\u\{9b\}1m\n\\u\{1b\}\[2Jgone \\u\{202e\}\n/)
      match(stdout, /\n2 bytes that are no text, as base64:\n\/wE=\n/)
    })

    it('ends quietly when its reader has gone', async () => {
      const peek = startCommand(['peek', 'orders'], { environment })
      peek.child.stdout.destroy()

      const { code, stderr } = await peek.ended

      deepStrictEqual([code, stderr], [0, ''])
    })
  })

  describe('lag', () => {
    it('has each queue, retries and dead letters, sums and ages', async () => {
      const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
      const [first, second] = (await consumer.pull(QUEUE, 0n)).messages
      ok(first && second)
      await consumer.sendBack(first, { delayLevel: 1 })
      await consumer.sendBack(second, { delayLevel: -1 })
      await broker.clock.advance(5_000)

      const lag = (await json('lag', 'billing')) as Record<string, unknown>
      const { stdout } = await run(['lag', 'billing'])

      const { queues, deadLetters } = lag as {
        queues: Record<string, unknown>[]
        deadLetters: { count: string }
      }
      deepStrictEqual(
        [lag['lag'], lag['retryLag'], deadLetters.count, Number(lag['oldestTimestamp']) > 0],
        ['3', '1', '1', true],
      )
      deepStrictEqual(
        queues.map(({ topic, queueId, consumerOffset, brokerOffset, lag: open }) => [
          topic,
          queueId,
          consumerOffset,
          brokerOffset,
          open,
        ]),
        [
          ['%RETRY%billing', 0, '0', '1', '1'],
          ['orders', 0, '1', '3', '2'],
          ['orders', 1, '0', '0', '0'],
        ],
      )
      match(
        stdout,
        /^billing is 3 behind, 1 of them to be tried again, the oldest \w+.*; dead letters: 1\n\ntopic /,
      )
      match(stdout, /\n%DLQ%billing +broker-a\/0 +1 /)
    })

    it('says what may be known where dead letters may not be read', async () => {
      const remark =
        'User:reader has no permission to access Topic:%DLQ%billing from 127.0.0.1, no matched policies.'
      await createTopicAdmin(client).create('%DLQ%billing', { readQueueNums: 1 })
      broker.faults.add({
        fault: 'refuse',
        responseCode: 16,
        remark,
        topic: '%DLQ%billing',
        server: 'broker-a',
      })

      const { code, stdout } = await run(['lag', 'billing'])
      const printed = (await json('lag', 'billing')) as { deadLetters: null; notPermitted: string[] }

      deepStrictEqual(code, 0)
      match(stdout, /^billing is 2 behind, the oldest \w+; dead letters: they may not be read\n/)
      match(stdout, /\n\nTo know the rest, grant Get on Topic:%DLQ%billing\.\n$/)
      deepStrictEqual([printed.deadLetters, printed.notPermitted], [null, ['Get on Topic:%DLQ%billing']])
    })

    it('of a group that has not committed yet says so', async () => {
      broker.createGroup('new')
      const ended = await run(['lag', 'new'])
      deepStrictEqual(ended, {
        code: 0,
        signal: null,
        stdout: 'new has not committed any offset yet.\n',
        stderr: '',
      })
    })

    it('watches until its reader has gone or Ctrl-C comes, a line each time, also while the broker is away', async () => {
      const watch = startCommand(['lag', 'billing', '--watch', '0.05', '--timeout', '2'], { environment })
      await watch.printed(/billing is 2 behind.*\n/)
      await commit(3n)
      await watch.printed(/billing is 0 behind.*\n/)
      await broker.brokers[0]?.stop()
      await broker.brokers[0]?.start()
      await watch.printed(/billing is 0 behind.*\n/)
      watch.child.kill('SIGINT')

      const { code, signal } = await watch.ended

      deepStrictEqual([code, signal], [0, null])
    })
  })

  describe('reset', () => {
    it('shows what will move, and with --yes does exactly that', async () => {
      const { code, stdout } = await run([
        'reset',
        'billing',
        'orders',
        '--to',
        'earliest',
        '--queue',
        '0',
        '--yes',
      ])

      deepStrictEqual(
        [code, stdout],
        [
          0,
          'billing on orders, to earliest\n\nqueue       from  to\nbroker-a/0  1     0   1 again\n\n' +
            'Messages delivered again: 1.\nDone: billing goes on from there.\n',
        ],
      )
      deepStrictEqual(broker.committedOffset('billing', QUEUE), 0n)
    })

    it('with --dry-run changes nothing, and prints the plan', async () => {
      const was = await state()

      const plan = await json('reset', 'billing', 'orders', '--to', '2', '--queue', 'broker-a/0', '--dry-run')

      deepStrictEqual(plan, {
        consumerGroup: 'billing',
        queues: [{ queue: QUEUE, from: '1', to: '2', minOffset: '0', maxOffset: '3' }],
        done: false,
      })
      deepStrictEqual(await state(), was)
    })

    it('has the document alone on stdout with --json', async () => {
      const { code, stdout, stderr } = await run([
        'reset',
        'billing',
        'orders',
        '--to',
        '0s',
        '--json',
        '--yes',
      ])

      deepStrictEqual([code, (JSON.parse(stdout) as { done: boolean }).done], [0, true])
      match(stderr, /\nMessages skipped: 2; queues without an offset, where it begins there: 1\.\nDone/i)
      deepStrictEqual(broker.committedOffset('billing', QUEUE), 3n)
    })

    it('does nothing where it stands there already', async () => {
      const { code, stdout } = await run(['reset', 'billing', 'orders', '--to', '1', '--queue', '0'])
      deepStrictEqual(code, 0)
      match(stdout, /\nbroker-a\/0 {2}1 {5}1 {3}stays\n\nNothing to move\.\n$/)
    })

    it('asks all brokers, and says which have not answered', async () => {
      await using two = await startBroker({ brokers: 2 })
      two.faults.add({ fault: 'lose-answer', code: 201, server: 'broker-b' })
      const args = ['group', 'update', 'billing', '--retry-max', '3', '--yes', '--timeout', '0.3']
      const { code, stdout, stderr } = await runCommand(args, {
        environment: { ROCKETMQ_NAMESRV_ADDR: two.nameServers },
      })
      deepStrictEqual([code, stdout], [1, ''])
      match(
        stderr,
        /^error: reading group billing was answered by broker-a \(\S+\), not by broker-b \(\S+\): request 201 to \S+ took too long: --timeout; repeat it\n$/,
      )
    })

    it('does nothing when whoever reads what will move has gone', async () => {
      const was = await state()
      const reset = startCommand(['reset', 'billing', 'orders', '--to', 'latest', '--yes'], { environment })
      reset.child.stdout.destroy()

      const { code, stderr } = await reset.ended

      deepStrictEqual([code, stderr, await state()], [1, '', was])
    })

    it('does nothing when what will move cannot be written', {
      skip: process.platform !== 'linux',
    }, async () => {
      const was = await state()

      const { code, stderr } = await runOnFullDisk(
        ['reset', 'billing', 'orders', '--to', 'latest', '--yes'],
        environment,
      )

      deepStrictEqual([code, await state()], [1, was])
      match(stderr, /^error: the output cannot be written: ENOSPC: [^\n]+\n$/)
    })
  })

  describe('on a terminal', { skip: !hasTerminal }, () => {
    it('asks, and does it after y', async () => {
      const { code, output } = await runOnTerminal(
        ['reset', 'billing', 'orders', '--to', 'latest'],
        'y\r',
        environment,
      )

      deepStrictEqual([code, broker.committedOffset('billing', QUEUE)], [0, 3n])
      match(output, /Reset billing on orders\? \[y\/N\].*\r\nDone: billing goes on from there\.\r\n$/s)
      ok(output.includes('\u001b[1m'), 'bold')
    })

    for (const [what, answer] of [
      ['n', 'n\r'],
      ['Enter', '\r'],
      ['Ctrl-C', '\u0003'],
      ['Ctrl-D', '\u0004'],
    ] as const) {
      it(`does nothing after ${what}`, async () => {
        const was = await state()

        const { code, output } = await runOnTerminal(['topic', 'delete', 'orders'], answer, {
          ...environment,
          NO_COLOR: '1',
        })

        deepStrictEqual([code, await state()], [1, was])
        match(output, /messages that will be lost: 3\.\r\nConsumer groups that read it: billing\.\r\n/)
        match(output, /\r\nNothing was changed\.\r\n$/)
        // Only the line of the question has been edited.
        ok(!output.split('\n')[0]?.includes('\u001b'))
      })
    }
  })

  describe('topic and group', () => {
    it('are created, listed, shown and deleted', async () => {
      const printed = [
        await run(['topic', 'create', 'payments', '--queues', '3', '--perm', 'r', '--type', 'FIFO']),
        await run(['topic', 'create', 'payments', '--queues', '3', '--perm', 'r', '--type', 'FIFO']),
        await run(['group', 'create', 'paying', '--retry-max', '5']),
        await run(['topic', 'show', 'payments']),
        await run(['group', 'show', 'paying']),
        await run(['group', 'members', 'paying']),
      ].map(({ code, stdout, stderr }) => {
        const text = stdout.replaceAll(/127\.0\.0\.1:\d+/g, 'address').replaceAll(/ {2,}/g, '  ')
        return [code, text, stderr]
      })
      const lists = [await json('topic', 'list'), await json('group', 'list')]
      const deleted = [
        await run(['topic', 'delete', 'payments', '--yes']),
        await run(['group', 'delete', 'paying', '--yes']),
      ].map(({ code }) => code)

      const made = 'payments is on broker-a (address), with 3 queues on each.\n'
      deepStrictEqual(printed, [
        [0, made, ''],
        [0, made, ''],
        [0, 'paying is on broker-a (address).\n', ''],
        [
          0,
          'payments\n\nbroker  address  read queues  write queues  permission\n' +
            'broker-a  address  3  3  read  message.type=FIFO\n\n' +
            'queue  messages  first  end  last message\n' +
            'broker-a/0  0  0  0\nbroker-a/1  0  0  0\nbroker-a/2  0  0  0\n\n' +
            'consumer groups: none\n',
          '',
        ],
        [
          0,
          'paying\n\nbroker  address  attempts  retry queues\nbroker-a  address  5  1\n\n' +
            'It has not committed any offset yet.\n\nmembers online: none\n',
          '',
        ],
        [0, 'No member of paying is online.\n', ''],
      ])
      deepStrictEqual(lists, [
        [
          { topic: 'orders', kind: 'normal' },
          { topic: 'payments', kind: 'normal' },
        ],
        ['billing', 'paying'],
      ])
      deepStrictEqual(
        [deleted, await json('topic', 'list'), await json('group', 'list')],
        [[0, 0], [{ topic: 'orders', kind: 'normal' }], ['billing']],
      )
    })
  })

  describe('topic update and group update', () => {
    it('show what changes on each broker, and with --yes change that and nothing else', async () => {
      const was = await createTopicAdmin(client).describe('orders')
      const group = await createGroupAdmin(client).describe('billing')

      const printed = [
        await run(['topic', 'update', 'orders', '--perm', 'r', '--type', 'FIFO', '--order', '--yes']),
        await run(['group', 'update', 'billing', '--consume', 'off', '--retry-max', '3', '--yes']),
      ].map(({ code, stdout, stderr }) => {
        const text = stdout.replaceAll(/127\.0\.0\.1:\d+/g, 'address').replaceAll(/ {2,}/g, '  ')
        return [code, text, stderr]
      })

      deepStrictEqual(printed, [
        [
          0,
          'orders\n\nbroker  setting  from  to\nbroker-a  permission  read and write  read\n' +
            'broker-a  order is fixed  no  yes\nbroker-a  message.type  none  FIFO\n' +
            'orders is changed on broker-a (address).\n',
          '',
        ],
        [
          0,
          'billing\n\nbroker  setting  from  to\nbroker-a  attempts  16  3\nbroker-a  may consume  yes  no\n' +
            'billing is changed on broker-a (address).\n',
          '',
        ],
      ])
      deepStrictEqual(
        await createTopicAdmin(client).describe('orders'),
        was.map((each) => ({ ...each, perm: 4, order: true, attributes: { 'message.type': 'FIFO' } })),
      )
      deepStrictEqual(
        (await createGroupAdmin(client).describe('billing')).map(({ config }) => config),
        group.map(({ config }) => ({ ...config, retryMaxTimes: 3, consumeEnable: false })),
      )
    })

    it('print the settings that are there afterwards with --json, and the plan beside', async () => {
      const { code, stdout, stderr } = await run([
        'topic',
        'update',
        'orders',
        '--queues',
        '4',
        '--yes',
        '--json',
      ])
      const again = await run(['topic', 'update', 'orders', '--queues', '4', '--json'])
      const group = (await run(['group', 'update', 'billing', '--retry-max', '16', '--json'])).stdout

      const [topic] = JSON.parse(stdout) as { readQueueNums: number; writeQueueNums: number }[]
      deepStrictEqual([code, topic?.readQueueNums, topic?.writeQueueNums], [0, 4, 4])
      match(stderr, /^orders\n\nbroker +setting +from +to\nbroker-a +read queues +2 +4\n/)
      deepStrictEqual([again.code, again.stdout, again.stderr], [0, stdout, 'orders\n\nNothing to change.\n'])
      deepStrictEqual(
        (JSON.parse(group) as { config: { retryMaxTimes: number } }[]).map(
          ({ config }) => config.retryMaxTimes,
        ),
        [16],
      )
    })

    it('need no answer where nothing changes', async () => {
      const { code, stdout } = await run(['topic', 'update', 'orders', '--queues', '2'])

      deepStrictEqual([code, stdout], [0, 'orders\n\nNothing to change.\n'])
    })

    it('say which messages consumers will not see any more', async () => {
      const was = await state()

      const { code, stdout } = await run(['topic', 'update', 'orders', '--queues', '1'])

      match(stdout, /\nConsumers will not see what is in broker-a\/1 to broker-a\/1: let them read it first/)
      deepStrictEqual([code, await state()], [2, was])
    })
  })

  it('takes a connection from a file, and then nothing of it from the environment', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-connection-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'prod.env')
    await writeFile(file, `# prod\nROCKETMQ_NAMESRV_ADDR=${broker.nameServers}\n`)

    // Half of the credentials would be refused.
    const ended = await runCommand(['topic', 'list', '--connection', file], {
      environment: { ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1', ROCKETMQ_ACCESS_KEY: 'other' },
    })

    deepStrictEqual(ended, { code: 0, signal: null, stdout: 'orders  normal\n', stderr: '' })
  })
})
