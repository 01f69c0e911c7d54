/** A history without a flaw, and what the judge says when one thing in it is different. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Happening } from './history.ts'
import { type Verdict, judge as verdictOf } from './judge.ts'

/** With what is explained as text. */
function judge(history: readonly Happening[]): Omit<Verdict, 'explained'> & { explained: string[] } {
  const { explained, ...verdict } = verdictOf(history)
  return {
    ...verdict,
    explained: explained.map(({ text, cause: { what, target } }) => `${text} (${what} of ${target})`),
  }
}

type RecordLine = Extract<Happening, { kind: 'record' }>

const QUEUE = 'orders/broker-a/0'

/** One of three messages of one sharding key, at the offset that it is called by. */
const record = (
  what: RecordLine['what'],
  offset: number,
  at: number,
  more: Partial<RecordLine> = {},
): Happening => ({
  kind: 'record',
  group: 'chaos-block',
  what,
  invocation: 'first',
  pid: 1,
  queue: QUEUE,
  offset,
  messageId: `id-${offset}`,
  key: 'k',
  at,
  ...more,
})
const [stored, held, handled] = [[], [], []] as Happening[][] as [Happening[], Happening[], Happening[]]
for (const offset of [0, 1, 2]) {
  const messageId = `id-${offset}`
  stored.push({ kind: 'stored', at: 1_000, messageId, key: 'k', n: offset })
  held.push({ kind: 'held', queue: QUEUE, offset, messageId, key: 'k', storedAt: 900 })
  handled.push(record('start', offset, 2_000 + offset * 10), record('end', offset, 2_005 + offset * 10))
}
const over: Happening = { kind: 'over', at: 9_000, isDrained: true, connections: 1 }
const sound = [...stored, ...handled, ...held, over]
const fault = (what: string, target: string, at: number, until: number, met?: number): Happening => ({
  kind: 'fault',
  what,
  target,
  at,
  until,
  ...(met === undefined ? {} : { met }),
})
const invocation = (more: object): Happening => ({
  kind: 'invocation',
  name: 'publish',
  invocation: 'x',
  at: 5_000,
  durationMs: 9_000,
  limitMs: 10_000,
  status: 'success',
  ...more,
})
const offset = (value: string, at: number): Happening => ({
  kind: 'offset',
  at,
  group: 'chaos-block',
  queue: QUEUE,
  offset: value,
})

/** The copies of a transaction in its topic. */
const deliveredAt = (...times: number[]): Happening[] =>
  times.map((storedAt, index) => ({
    kind: 'held',
    queue: 'payments/broker-a/0',
    offset: index,
    messageId: 'tx',
    key: '',
    storedAt,
  }))

describe('the judge of a chaos run', () => {
  it('finds nothing in a run in which all was handled once, in order', () => {
    const { violations, explained, figures } = judge(sound)

    assert.deepStrictEqual([violations, explained], [[], []])
    assert.deepStrictEqual([figures['acknowledged'], figures['handled, all groups']], [3, 3])
  })

  for (const [what, history, violations] of [
    [
      'a message that was acknowledged and never done',
      sound.filter((each) => each !== handled.at(-1)),
      ['lost: id-2 by chaos-block', 'skipped: orders/broker-a/0/2 by chaos-block'],
    ],
    [
      'a record that was begun before the one before it was done',
      [...sound, record('start', 2, 2_001), record('end', 2, 2_002)].filter(
        (each) => each !== handled[4] && each !== handled[5],
      ),
      ['order: chaos-block began orders/broker-a/0/2 before 0 was done'],
    ],
    [
      'a record that was done twice',
      [...sound, record('start', 1, 3_000), record('end', 1, 3_005)],
      ['twice: id-1 by chaos-block at orders/broker-a/0/1', '1 of 4 records twice'],
    ],
    [
      'two invocations in one queue',
      [
        ...sound,
        record('start', 1, 2_001, { invocation: 'second' }),
        record('end', 1, 2_003, { invocation: 'second' }),
      ].filter((each) => each !== handled[2] && each !== handled[3]),
      [
        'order: chaos-block began orders/broker-a/0/1 before 0 was done',
        'two owners: chaos-block at orders/broker-a/0/1: second, and first at 0',
      ],
    ],
    [
      'an offset that went back',
      [...sound, offset('3', 3_000), offset('2', 4_000)],
      ['offset: chaos-block orders/broker-a/0 went back from 3 to 2'],
    ],
    [
      'a transaction that was to be committed and is not there',
      [...sound, { kind: 'begun', at: 1, messageId: 'tx', fate: 'commit' }],
      ['transaction tx: to be a commit, and 0 times in its topic'],
    ],
    [
      'a transaction that was rolled back and is there',
      [...sound, { kind: 'begun', at: 1, messageId: 'id-0', fate: 'rollback' }],
      ['transaction id-0: to be a rollback, and 1 times in its topic'],
    ],
    [
      'a transaction that was delivered twice',
      [
        ...sound,
        { kind: 'begun', at: 1, messageId: 'id-0', fate: 'commit' },
        { kind: 'held', queue: 'payments/broker-a/0', offset: 0, messageId: 'id-0', key: '', storedAt: 900 },
      ],
      ['transaction id-0: to be a commit, and 2 times in its topic'],
    ],
    [
      'an invocation that had hardly any time left',
      [...sound, invocation({ durationMs: 9_600 })],
      ['late: publish took 9600 of 10000 ms'],
    ],
    [
      'an invocation that ran into its limit',
      [...sound, invocation({ durationMs: 10_000, status: 'timeout' })],
      ['late: publish took 10000 of 10000 ms'],
    ],
    [
      'a record that was passed over when those before it were handed over again',
      [
        ...sound,
        ...[0, 2].flatMap((each) => [record('start', each, 3_000 + each), record('end', each, 3_000 + each)]),
      ],
      [
        'order: chaos-block began orders/broker-a/0/2 before 1 was done',
        'twice: id-0 by chaos-block at orders/broker-a/0/0',
        'twice: id-2 by chaos-block at orders/broker-a/0/2',
        '2 of 5 records twice',
      ],
    ],
    [
      'a transaction that was never ended, and one that its broker gave up',
      [...sound, { kind: 'half', at: 9_000, broker: 'broker-a', open: 1, givenUp: 2 }],
      ['transactions of broker-a: 1 never ended, 2 given up'],
    ],
    [
      'a message that was stored twice, and passed over once, while the other copy was done twice',
      [
        ...sound.filter((each) => each !== handled[2] && each !== handled[3]),
        { kind: 'held', queue: 'orders/broker-b/0', offset: 5, messageId: 'id-1', key: 'k', storedAt: 900 },
        ...[2_015, 2_016].flatMap((at) => {
          const there = { queue: 'orders/broker-b/0', messageId: 'id-1' }
          return [record('start', 5, at, there), record('end', 5, at, there)]
        }),
      ],
      [
        'skipped: orders/broker-a/0/1 by chaos-block',
        'order: chaos-block began orders/broker-a/0/2 before 1 was done',
      ],
    ],
    [
      'a group that has done nothing',
      [...sound, { kind: 'offset', at: 1, group: 'chaos-idle', queue: QUEUE, offset: '0' }],
      [0, 1, 2]
        .flatMap((each) => [`lost: id-${each} by chaos-idle`])
        .concat([0, 1, 2].map((each) => `skipped: orders/broker-a/0/${each} by chaos-idle`)),
    ],
    [
      'a message that was stored behind the one that was sent after it',
      sound.map((each) => (each.kind === 'stored' ? { ...each, n: 2 - each.n } : each)),
      [1, 2].map((each) => `order: id-${each} was sent before, and lies behind in ${QUEUE} k at ${each}`),
    ],
    [
      'two invocations that have a queue by turns',
      sound.map((each) =>
        each === handled[2] || each === handled[3] ? { ...each, invocation: 'second' } : each,
      ),
      ['two owners: chaos-block at orders/broker-a/0/1: second, and first at 0'],
    ],
    [
      'an error that is not of this package, and an end that nobody gave',
      [
        ...sound,
        ...['TypeError', 'Runtime.ExitError', 'TimeoutError'].map((errorType) =>
          invocation({ durationMs: 5, status: 'error', errorType, error: JSON.stringify({ errorType }) }),
        ),
      ],
      ['TypeError', 'Runtime.ExitError'].map((each) => `error: publish: {"errorType":"${each}"}`),
    ],
    [
      'one that was killed long before it had begun',
      [
        ...sound,
        fault('kill', 'publish 5', 3_100, 3_100),
        invocation({
          pid: 5,
          at: 5_000,
          durationMs: 500,
          status: 'error',
          errorType: 'Runtime.ExitError',
          error: '{"errorType":"Runtime.ExitError"}',
        }),
      ],
      ['error: publish: {"errorType":"Runtime.ExitError"}'],
    ],
    [
      'an error that nobody caught',
      [...sound, { kind: 'crash', at: 1, name: 'publish', line: 'Uncaught' }],
      ['crash: publish: Uncaught'],
    ],
    [
      'a run that did not come to its end',
      sound.with(-1, { ...over, isDrained: false }),
      ['the queues were not drained in the end'],
    ],
  ] satisfies [string, Happening[], string[]][])
    it(`finds ${what}`, () => assert.deepStrictEqual(judge(history).violations, violations))

  it('takes a kill of the broker as the cause of what its lost commits bring', () => {
    const history = [
      ...sound,
      fault('kill', 'broker-a', 2_500, 2_600),
      offset('3', 2_400),
      offset('1', 2_700),
      ...[1, 2].flatMap((each) => [record('start', each, 3_000 + each), record('end', each, 3_000 + each)]),
    ]

    const { violations, explained } = judge(history)

    assert.deepStrictEqual(
      [violations, explained],
      [
        [],
        [
          'twice: id-1 by chaos-block at orders/broker-a/0/1 (kill of broker-a)',
          'twice: id-2 by chaos-block at orders/broker-a/0/2 (kill of broker-a)',
          'offset: chaos-block orders/broker-a/0 went back from 3 to 1 (kill of broker-a)',
        ],
      ],
    )
  })

  it('takes no kill as the cause of an offset that went back behind what was committed long before', () => {
    const history = [
      ...sound,
      offset('2', 1_000),
      offset('3', 20_000),
      fault('kill', 'broker-a', 21_000, 22_000),
    ]

    const little = judge([...history, offset('2', 23_000)])
    const far = judge([...history, offset('1', 23_000)])
    const suspended = judge([
      ...sound,
      offset('3', 20_000),
      fault('suspend', 'broker-a', 21_000, 22_000),
      offset('2', 23_000),
    ])

    assert.deepStrictEqual(
      [little.explained.length, far.explained.length, suspended.explained.length],
      [1, 0, 0],
    )
  })

  it('takes no kill as the cause of what was done while the broker started again', () => {
    const again = [record('start', 1, 40_000), record('end', 1, 40_005)]

    const { figures } = judge([...sound, fault('kill', 'broker-a', 1_500, 9_000), ...again])

    assert.deepStrictEqual(
      [figures['records twice'], figures['of them by commits of a killed broker']],
      [1, 0],
    )
  })

  it('takes no fault as a cause that keeps nothing from its effect', () => {
    const again = [record('start', 1, 3_000), record('end', 1, 3_005)]
    const judged = (what: string): number =>
      judge([...sound, ...again, fault(what, 'broker-a', 2_010, 2_100)]).explained.length

    assert.deepStrictEqual(['duplicate', 'reorder', 'bytewise', 'lost-answer'].map(judged), [0, 0, 0, 1])
  })

  it('does not take as a cause what befell another broker, or came before', () => {
    const twice = [record('start', 1, 3_000), record('end', 1, 3_005)]
    const faults = [fault('kill', 'broker-b', 2_500, 2_600), fault('kill', 'broker-a', 1_000, 1_100)]

    const { explained } = judge([...sound, ...faults, ...twice])

    assert.deepStrictEqual(explained, [])
  })

  it('does not take a kill of the broker as the cause of what was committed more than 10 s before', () => {
    const again = [record('start', 1, 40_000), record('end', 1, 40_005)]
    const kill = fault('kill', 'broker-a', 13_000, 15_000)

    const before = judge([...sound, kill, ...again])
    // Its commit came late: so long the group was seen to stand before it.
    const late = judge([...sound, kill, offset('1', 5_000), offset('3', 7_000), ...again])

    assert.deepStrictEqual(
      [before.explained, late.explained],
      [[], ['twice: id-1 by chaos-block at orders/broker-a/0/1 (kill of broker-a)']],
    )
  })

  it('takes as the cause of a copy only what came before the invocation that had done it was over', () => {
    const ended = invocation({
      name: 'consume-block',
      invocation: 'first',
      pid: 1,
      at: 2_100,
      durationMs: 200,
    })
    const again = [
      record('start', 1, 40_000, { invocation: 'second' }),
      record('end', 1, 40_005, { invocation: 'second' }),
    ]
    const judged = (...faults: Happening[]): string[] =>
      judge([...sound, ended, ...again, ...faults]).explained

    const text = 'twice: id-1 by chaos-block at orders/broker-a/0/1'
    assert.deepStrictEqual(
      [
        judged(fault('cut', 'broker-a', 2_050, 2_080)),
        judged(fault('kill', 'consume-block 1', 2_060, 2_060)),
        judged(fault('cut', 'broker-a', 2_200, 2_300)),
        judged(fault('kill', 'consume-block 1', 2_200, 2_200)),
      ],
      [[`${text} (cut of broker-a)`], [`${text} (kill of consume-block 1)`], [], []],
    )
  })

  it('explains a copy by whoever slept longer than a lease and went on with its batch', () => {
    const ended = invocation({
      name: 'consume-long',
      invocation: 'slow',
      pid: 7,
      at: 80_000,
      durationMs: 79_000,
      limitMs: 100_000,
    })
    const more = { invocation: 'slow', pid: 7 }
    const again = [record('start', 1, 75_000, more), record('end', 1, 75_005, more)]
    const judged = (until: number): string[] =>
      judge([...sound, ended, ...again, fault('suspend', 'consume-long 7', 1_500, until)]).explained

    const text = 'twice: id-1 by chaos-block at orders/broker-a/0/1'
    assert.deepStrictEqual([judged(71_500), judged(50_000)], [[`${text} (suspend of consume-long 7)`], []])
  })

  it('explains what is begun beside whoever goes on with its batch after such a sleep, and behind it', () => {
    const long = { invocation: 'slow', pid: 7 }
    const slow = invocation({
      name: 'consume-long',
      ...long,
      at: 80_000,
      durationMs: 79_000,
      limitMs: 100_000,
    })
    const other = { invocation: 'second', pid: 2 }
    // The second is at work with a record while the sleeper does one of before, and takes the next one then.
    const history = [
      ...sound.filter((each) => each !== handled[4] && each !== handled[5]),
      slow,
      record('start', 1, 75_000, long),
      record('start', 1, 75_001, other),
      record('end', 1, 75_002, other),
      record('start', 0, 75_003, long),
      record('start', 2, 75_004, other),
      record('end', 0, 75_005, long),
      record('end', 2, 75_006, other),
    ]
    const judged = (until: number): readonly string[] =>
      judge([...history, fault('suspend', 'consume-long 7', 1_500, until)]).violations

    assert.deepStrictEqual(judged(71_500), ['2 of 5 records twice'])
    assert.ok(judged(50_000).some((each) => each.startsWith('order: ')))
    assert.ok(judged(50_000).some((each) => each.startsWith('two owners: ')))
  })

  it('looks for the cause of a copy where that lies, of a message that was stored twice', () => {
    const other = { queue: 'orders/broker-b/0', messageId: 'id-1' }
    const history = [
      ...sound,
      { kind: 'held', queue: other.queue, offset: 1, messageId: 'id-1', key: 'k', storedAt: 900 },
      record('start', 1, 2_040, other),
      record('end', 1, 2_045, other),
      record('start', 1, 30_000),
      record('end', 1, 30_005),
    ] satisfies Happening[]

    const here = judge([...history, fault('kill', 'broker-a', 3_000, 4_000)])
    const there = judge([...history, fault('kill', 'broker-b', 3_000, 4_000)])

    const text = 'twice: id-1 by chaos-block at orders/broker-a/0/1'
    assert.deepStrictEqual([here.explained, there.violations[0]], [[`${text} (kill of broker-a)`], text])
  })

  it('takes no fault of the network as a cause that nobody has met', () => {
    const again = [record('start', 1, 3_000), record('end', 1, 3_005)]
    const judged = (met: number): string[] =>
      judge([...sound, ...again, fault('cut', 'broker-a', 2_010, 2_100, met)]).explained

    assert.deepStrictEqual([judged(0).length, judged(1).length], [0, 1])
  })

  it('does not take what comes long after a record was done as the cause of its copy', () => {
    const twice = [record('start', 1, 40_000), record('end', 1, 40_005)]

    const cut = judge([...sound, fault('cut', 'broker-a', 9_000, 9_500), ...twice])
    const killed = judge([...sound, fault('kill', 'broker-a', 30_000, 35_000), ...twice])
    const early = judge([
      ...sound,
      offset('3', 3_000),
      offset('2', 4_000),
      fault('kill', 'broker-a', 2_000, 2_500),
    ])

    assert.deepStrictEqual([cut.explained, killed.explained, early.explained], [[], [], []])
  })

  it('finds a queue that nobody took for longer than its lease, from when a message was there', () => {
    const late = 2_030 + 70_000
    const message = { kind: 'held', queue: QUEUE, offset: 3, messageId: 'id-3', key: 'k' } as const
    const taken = [record('start', 3, late, { pid: 2 }), record('end', 3, late + 5, { pid: 2 })]
    const history = [...sound, fault('kill', 'consume-block 1', 2_030, 2_030), ...taken]

    const waited = judge([...history, { ...message, storedAt: 2_000 }])
    const nothingThere = judge([...history, { ...message, storedAt: late - 100 }])
    const brokerWasGone = judge([
      ...history,
      { ...message, storedAt: 2_000 },
      fault('silent', 'broker-a', 60_000, 64_000),
    ])
    // Whoever comes finds it there again.
    const goneBefore = judge([
      ...history,
      { ...message, storedAt: 2_000 },
      fault('silent', 'broker-a', 40_000, 61_000),
    ])
    const shortlyGone = judge([
      ...history,
      { ...message, storedAt: 2_000 },
      fault('cut', 'broker-a', 61_500, 61_600),
    ])

    const text =
      'takeover: chaos-block had nobody at orders/broker-a/0 for 70000 ms after consume-block 1 was killed'
    assert.deepStrictEqual([waited.violations, waited.figures['longest takeover, ms']], [[text], 70_000])
    assert.deepStrictEqual([nothingThere.violations, nothingThere.figures['longest takeover, ms']], [[], 100])
    assert.deepStrictEqual(
      [brokerWasGone.violations, brokerWasGone.explained],
      [[], [`${text} (silent of broker-a)`]],
    )
    assert.deepStrictEqual([goneBefore.violations, shortlyGone.violations], [[text], [text]])
  })

  it('finds that also of a queue that the killed worker had besides that of its last record', () => {
    const [late, queue] = [2_030 + 70_000, 'orders/broker-a/1']
    const there = { queue, messageId: 'id-9', key: 'other' }
    const history = [
      { kind: 'stored', at: 1_000, messageId: 'id-9', key: 'other', n: 9 } as const,
      record('start', 8, 2_001, { queue, messageId: 'id-8', key: 'other' }),
      record('end', 8, 2_002, { queue, messageId: 'id-8', key: 'other' }),
      ...sound,
      fault('kill', 'consume-block 1', 2_030, 2_030),
      record('start', 9, late, { ...there, invocation: 'second', pid: 2 }),
      record('end', 9, late + 5, { ...there, invocation: 'second', pid: 2 }),
      { kind: 'held', ...there, offset: 9, storedAt: 2_000 } as const,
    ]

    assert.deepStrictEqual(judge(history).figures['longest takeover, ms'], 70_000)
  })

  it('explains a second owner by a broker that lost its leases, or by an owner that slept longer than its lease', () => {
    const second = [
      record('start', 2, 2_000 + 63_000, { invocation: 'second', pid: 2 }),
      record('end', 2, 2_000 + 63_005, { invocation: 'second', pid: 2 }),
    ]
    const open = record('start', 2, 2_020)
    const history = [...sound.filter((each) => each !== handled[4] && each !== handled[5]), open, ...second]

    const alone = judge(history)
    const slept = judge([...history, fault('suspend', 'consume-block 1', 2_022, 64_000)])
    const napped = judge([...history, fault('suspend', 'consume-block 1', 2_022, 12_000)])
    const lost = judge([...history, fault('kill', 'broker-a', 30_000, 35_000)])

    const text = 'two owners: chaos-block at orders/broker-a/0/2: second, and first at 2'
    assert.deepStrictEqual(alone.violations, [text])
    assert.deepStrictEqual(
      [slept.violations, slept.explained],
      [[], [`${text} (suspend of consume-block 1)`]],
    )
    assert.deepStrictEqual(napped.violations, [text])
    assert.deepStrictEqual([lost.violations, lost.explained], [[], [`${text} (kill of broker-a)`]])
  })

  it('explains a second owner by a kill of the broker at any time of the invocation that had the queue first', () => {
    const own = invocation({
      name: 'consume-block',
      invocation: 'first',
      pid: 1,
      at: 4_000,
      durationMs: 3_500,
    })
    const second = { invocation: 'second', pid: 2 }
    const history = [
      ...sound.filter((each) => each !== handled[2] && each !== handled[3]),
      record('start', 1, 2_012, second),
      record('end', 1, 2_014, second),
      own,
      invocation({ name: 'consume-block', ...second, at: 3_000, durationMs: 1_000 }),
    ]

    const within = judge([...history, fault('kill', 'broker-a', 600, 900)])
    const before = judge([...history, fault('kill', 'broker-a', 400, 900)])

    const text = 'two owners: chaos-block at orders/broker-a/0/1: second, and first at 0'
    assert.deepStrictEqual([within.explained, before.violations], [[`${text} (kill of broker-a)`], [text]])
  })

  it('explains a late invocation by a suspension of its own environment only', () => {
    const slow = invocation({ pid: 3, durationMs: 9_900, at: 20_000 })
    const judged = (...more: Happening[]): string[] => judge([...sound, slow, ...more]).explained

    const text = 'late: publish took 9900 of 10000 ms'
    assert.deepStrictEqual(
      [
        judged(fault('suspend', 'publish 3', 12_000, 15_000)),
        judged(fault('suspend', 'publish 4', 12_000, 15_000)),
        judged(fault('suspend', 'publish 3', 5_000, 9_000)),
      ],
      [[`${text} (suspend of publish 3)`], [], []],
    )
  })

  it('explains a late invocation by a machine that had no time at its end, and what it left unsettled by its end', () => {
    const cut = invocation({
      name: 'consume-block',
      invocation: 'first',
      durationMs: 10_000,
      status: 'timeout',
    })
    const twice = [
      record('start', 1, 7_000, { invocation: 'second' }),
      record('end', 1, 7_005, { invocation: 'second' }),
    ]
    const stall = (at: number, ms = 600): Happening => ({ kind: 'stall', at, until: at + ms })

    const atItsEnd = judge([...sound, cut, ...twice, stall(4_500)])
    const before = judge([...sound, cut, ...twice, stall(2_000)])
    const short = judge([...sound, cut, ...twice, stall(4_500, 300)])

    const late = 'late: consume-block took 10000 of 10000 ms'
    const done = 'twice: id-1 by chaos-block at orders/broker-a/0/1 (late end of consume-block)'
    assert.deepStrictEqual(
      [atItsEnd, before].map(({ explained }) => explained),
      [[done, `${late} (stall of the machine)`], [done]],
    )
    assert.deepStrictEqual([before.violations[0], short.violations[0]], [late, late])
  })

  it('explains a transaction that was delivered twice by what befell its broker while it noted the end, or by an end that came late', () => {
    const history: Happening[] = [
      ...sound,
      { kind: 'begun', at: 1, messageId: 'tx', fate: 'commit' },
      ...deliveredAt(30_000, 50_000),
    ]

    const meanwhile = judge([...history, fault('suspend', 'broker-a', 32_000, 36_000)])
    const later = judge([...history, fault('suspend', 'broker-a', 36_000, 38_000)])
    const ended = judge([...history, { kind: 'ended', at: 30_010, messageId: 'tx' }])
    const early = judge([
      ...history.map((each) => (each.kind === 'begun' ? { ...each, at: 28_500 } : each)),
      { kind: 'ended', at: 30_010, messageId: 'tx' },
    ])

    const text = 'transaction tx: to be a commit, and 2 times in its topic'
    assert.deepStrictEqual(
      [meanwhile.violations, meanwhile.explained, later.violations],
      [[], [`${text} (suspend of broker-a)`], [text]],
    )
    assert.deepStrictEqual(
      [ended.explained, early.violations],
      [[`${text} (late end of its caller)`], [text]],
    )
    const begunSlowly = judge([
      ...history.map((each) => (each.kind === 'begun' ? { ...each, at: 28_500 } : each)),
      { kind: 'ended', at: 30_010, messageId: 'tx' },
      invocation({ at: 28_490, durationMs: 600 }),
    ])
    assert.deepStrictEqual(begunSlowly.explained, [`${text} (late end of its caller)`])
  })

  it('explains one that a check has ended by a checker that answered late, and one that its caller ended by a broker that heard late', () => {
    const history: Happening[] = [
      ...sound,
      { kind: 'begun', at: 10_000, messageId: 'tx', fate: 'commit' },
      ...deliveredAt(30_000, 42_000),
    ]
    const ended: Happening = { kind: 'ended', at: 15_000, messageId: 'tx' }
    const checker = fault('suspend', 'check-transactions 4', 20_000, 29_900)
    const broker = fault('suspend', 'broker-a', 11_000, 29_900)

    const judged = [[checker], [checker, ended], [broker], [broker, ended]].map((more) =>
      judge([...history, ...more]).explained.map((each) => each.slice(each.indexOf('('))),
    )

    assert.deepStrictEqual(judged, [['(suspend of check-transactions 4)'], [], [], ['(suspend of broker-a)']])
  })

  it('explains a second copy in the retry topic by a kill of the broker behind the way back, which it makes once more', () => {
    const retry = { group: 'chaos-retry', queue: '%RETRY%chaos-retry/broker-a/0', messageId: 'id-1' }
    const history: Happening[] = [
      ...sound,
      ...[0, 2].flatMap((each) => [
        record('start', each, 2_000 + each, { group: 'chaos-retry' }),
        record('end', each, 2_001 + each, { group: 'chaos-retry' }),
      ]),
      record('start', 1, 2_100, { group: 'chaos-retry' }),
      record('fail', 1, 2_101, { group: 'chaos-retry' }),
      ...[7, 8].flatMap((each) => [
        record('start', each, 20_000 + each, retry),
        record('end', each, 20_001 + each, retry),
      ]),
    ]

    const killed = judge([...history, fault('kill', 'broker-a', 5_000, 8_000)])
    const later = judge([...history, fault('kill', 'broker-a', 13_000, 18_000)])

    const text = 'twice: id-1 by chaos-retry at %RETRY%chaos-retry/broker-a/0/8'
    assert.deepStrictEqual([killed.explained, later.explained], [[`${text} (kill of broker-a)`], []])
  })

  it('does not count one as an owner that was killed with a record in its hands', () => {
    const history = [
      ...sound.filter((each) => each !== handled[5]),
      invocation({ name: 'consume-block', invocation: 'first', at: 3_000, status: 'error', durationMs: 1 }),
      record('start', 2, 4_000, { invocation: 'second' }),
      record('end', 2, 4_005, { invocation: 'second' }),
    ]

    assert.deepStrictEqual(judge(history).violations, [])
  })
})
