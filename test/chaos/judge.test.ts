/** A history without a flaw, and what the judge says when one thing in it is different. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Happening } from './history.ts'
import { type Verdict, judge as verdictOf } from './judge.ts'

/** With what is explained as text. */
function judge(history: readonly Happening[]): Omit<Verdict, 'explained'> & { explained: string[] } {
  const { explained, ...verdict } = verdictOf(completed(history))
  return {
    ...verdict,
    explained: explained.map(({ text, cause: { what, target } }) => `${text} (${what} of ${target})`),
  }
}

/** With what says that nothing of it is missing, unless that stands there. */
function completed(history: readonly Happening[]): Happening[] {
  const queues = Map.groupBy(
    history.filter((each) => each.kind === 'held'),
    ({ queue }) => queue,
  )
  const contents = [...queues].map(([queue, held]): Happening => {
    const offsets = held.map((each) => each.offset)
    return { kind: 'content', queue, from: Math.min(...offsets), to: Math.max(...offsets) + 1 }
  })
  const groups = new Set(history.flatMap((each) => (each.kind === 'record' ? [each.group] : [])))
  const commits = [...groups].map((group) => commit('3', 2_100, { group }))
  const has = (kind: Happening['kind']): boolean => history.some((each) => each.kind === kind)
  return [...history, ...(has('content') ? [] : contents), ...(has('commit') ? [] : commits)]
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
/** That of the records, by when it ended. */
const firstInvocation = (at: number, durationMs: number): Happening =>
  invocation({ name: 'consume-block', invocation: 'first', pid: 1, at, durationMs })
const offset = (value: string, at: number): Happening => ({
  kind: 'offset',
  at,
  group: 'chaos-block',
  queue: QUEUE,
  offset: value,
})

/** An offset that its broker took at once. */
const commit = (
  value: string,
  at: number,
  more: Partial<Extract<Happening, { kind: 'commit' }>> = {},
): Happening => ({
  kind: 'commit',
  at,
  answeredAt: at,
  group: 'chaos-block',
  queue: QUEUE,
  offset: value,
  ...more,
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
        'moved: k from orders/broker-a/0 to orders/broker-b/0/5',
        'moved: k from orders/broker-b/0 to orders/broker-a/0/2',
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
        fault('kill', 'broker-b', 4_000, 4_500),
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
      'an acknowledged message that is in no queue that is consumed, although everybody has handled it',
      [
        ...sound,
        { kind: 'stored', at: 1_000, messageId: 'gone', key: 'k', n: 3 },
        { kind: 'held', queue: 'payments/broker-a/0', offset: 0, messageId: 'gone', key: '', storedAt: 900 },
        record('start', 4, 2_100, { queue: '%RETRY%chaos-block/broker-a/0', messageId: 'gone' }),
        record('end', 4, 2_101, { queue: '%RETRY%chaos-block/broker-a/0', messageId: 'gone' }),
      ],
      ['missing: gone was acknowledged and is in no queue'],
    ],
    [
      'a queue that holds more than is known of it',
      [...sound, { kind: 'content', queue: QUEUE, from: 0, to: 5 }],
      [`held: of ${QUEUE} 2 of 5 are not known, 3 first`],
    ],
    [
      'a queue that ends before where a group was',
      [
        ...sound,
        { kind: 'content', queue: QUEUE, from: 0, to: 3 },
        { kind: 'offset', at: 1, group: 'chaos-block', queue: QUEUE, offset: '4' },
      ],
      [`held: ${QUEUE} ends at 3, and a group was beyond`],
    ],
    [
      'a queue of which nobody says what it holds',
      [
        ...sound,
        { kind: 'content', queue: QUEUE, from: 0, to: 3 },
        { kind: 'offset', at: 1, group: 'chaos-block', queue: 'orders/broker-b/1', offset: '1' },
      ],
      ['held: nothing is known of orders/broker-b/1, where a group was at work'],
    ],
    [
      'a run of which nobody has noted what topics hold, or what was committed',
      sound
        .filter(({ kind }) => kind !== 'held' && kind !== 'stored')
        .concat(commit('1', 1, { group: 'other' })),
      ['held: nothing is known of what topics hold', 'commits: nothing is known of those of chaos-block'],
    ],
    [
      'an offset that went back and was overwritten before anybody asked',
      [...sound, commit('3', 3_000), commit('2', 3_001), commit('3', 3_002)],
      [`commit: chaos-block ${QUEUE} was told 2 after 3`],
    ],
    [
      'a setting that is wrong, whatever befell a server then',
      [
        ...sound,
        fault('kill', 'broker-b', 4_000, 4_500),
        invocation({ durationMs: 5, status: 'error', errorType: 'ConfigError', error: 'ConfigError' }),
        invocation({
          durationMs: 5,
          status: 'error',
          errorType: 'AggregateError',
          error: '{"errorType":"AggregateError","errors":["ConfigError: groupName"]}',
        }),
      ],
      [
        'error: publish: ConfigError',
        'error: publish: {"errorType":"AggregateError","errors":["ConfigError: groupName"]}',
      ],
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

  it('takes no kill as the cause of what stood still long after the end of who had done it', () => {
    const ended = firstInvocation(3_000, 2_000)
    const again = [record('start', 2, 200_000), record('end', 2, 200_005)]
    const judged = (killedAt: number): string[] => {
      const stood = [5_000, 20_000, killedAt - 1_000].map((at) => offset('2', at))
      const kill = fault('kill', 'broker-a', killedAt, killedAt + 5_000)
      return judge([...sound, ended, ...stood, kill, offset('3', 201_000), ...again]).explained
    }

    const text = 'twice: id-2 by chaos-block at orders/broker-a/0/2'
    assert.deepStrictEqual(
      [judged(172_000), judged(18_500), judged(17_500)],
      [[], [], [`${text} (kill of broker-a)`]],
    )
  })

  it('takes a kill of the broker as the cause of a commit of less, but not of less than it had saved, nor any other fault', () => {
    const history = [...sound, commit('1', 1_000), commit('2', 20_000), commit('3', 34_000)]
    const judged = (what: string, target: string, at: number, value: string): string[] => {
      const { violations, explained } = judge([
        ...history,
        fault(what, target, at, at + 2_000),
        commit(value, 40_000),
      ])
      return [...violations, ...explained]
    }

    const text = (value: string): string => `commit: chaos-block ${QUEUE} was told ${value} after 3`
    assert.deepStrictEqual(judged('kill', 'broker-a', 35_000, '2'), [`${text('2')} (kill of broker-a)`])
    assert.deepStrictEqual(judged('kill', 'broker-a', 35_000, '1'), [text('1')])
    assert.deepStrictEqual(judged('kill', 'broker-b', 35_000, '2'), [text('2')])
    assert.deepStrictEqual(judged('kill', 'broker-a', 5_000, '2'), [text('2')])
    assert.deepStrictEqual(judged('suspend', 'broker-a', 35_000, '2'), [text('2')])
  })

  it('takes a kill that let somebody else have the queue, and a sleep longer than a lease, as the cause of a commit of less', () => {
    const own = firstInvocation(4_000, 3_500)
    const history = [...sound, own, commit('3', 3_000), commit('2', 3_500)]
    const killedAt = (at: number): string[] =>
      judge([...history, fault('kill', 'broker-a', at, at + 200)]).explained

    const slept = (until: number): string[] =>
      judge([
        ...sound,
        invocation({ invocation: 'slow', pid: 7, at: 80_000, durationMs: 79_500, limitMs: 100_000 }),
        record('start', 1, 75_000, { invocation: 'slow', pid: 7 }),
        record('end', 1, 75_001, { invocation: 'slow', pid: 7 }),
        commit('3', 3_000),
        commit('2', 75_002),
        fault('suspend', 'consume-long 7', 1_000, until),
      ]).explained.filter((each) => each.startsWith('commit: '))

    const text = `commit: chaos-block ${QUEUE} was told 2 after 3`
    assert.deepStrictEqual([killedAt(600), killedAt(400)], [[`${text} (kill of broker-a)`], []])
    assert.deepStrictEqual([slept(71_000), slept(50_000)], [[`${text} (suspend of consume-long 7)`], []])
  })

  it('takes an error of this package as what a fault leads to that met a server, or its own environment, not long before', () => {
    const judged = (...more: Happening[]): number =>
      judge([
        ...sound,
        invocation({
          pid: 3,
          at: 100_000,
          durationMs: 1_000,
          status: 'error',
          errorType: 'TimeoutError',
          error: 'x',
        }),
        ...more,
      ]).violations.length

    assert.deepStrictEqual(
      [
        judged(fault('kill', 'broker-b', 99_500, 99_900)),
        judged(fault('suspend', 'name server 1', 30_000, 34_100)),
        judged(fault('suspend', 'publish 3', 40_000, 41_000)),
        judged({ kind: 'begin', at: 89_500 }),
      ],
      [0, 0, 0, 0],
    )
    assert.deepStrictEqual(
      [
        judged(),
        judged(fault('kill', 'broker-b', 30_000, 33_900)),
        judged(fault('kill', 'broker-b', 100_001, 100_100)),
        judged(fault('cut', 'broker-b', 99_500, 99_900, 0)),
        judged(fault('duplicate', 'broker-b', 99_500, 99_900, 5)),
        judged(fault('suspend', 'publish 4', 99_500, 99_900)),
        judged({ kind: 'begin', at: 88_500 }),
      ],
      [1, 1, 1, 1, 1, 1, 1],
    )
  })

  it('lists each key that changed its queue with the kill that gave publishers another route, and what was begun too early there', () => {
    const elsewhere = { queue: 'orders/broker-b/0', messageId: 'id-3' }
    const more = (at: number): Happening[] => [
      { kind: 'stored', at: 51_000, messageId: 'id-3', key: 'k', n: 3 },
      { kind: 'held', ...elsewhere, offset: 0, key: 'k', storedAt: 50_900 },
      record('start', 0, at, elsewhere),
      record('end', 0, at + 1, elsewhere),
    ]
    const judged = (at: number, ...faults: Happening[]): [readonly string[], string[], unknown[]] => {
      const { violations, explained, figures } = judge([...sound, ...more(at), ...faults])
      return [
        violations,
        explained,
        ['keys that changed their queue', 'begun there before what lies elsewhere was done'].map(
          (each) => figures[each],
        ),
      ]
    }
    const text = `moved: k from ${QUEUE} to orders/broker-b/0/0`
    const early = `${text}, and chaos-block began 1 there before what lies elsewhere was done`

    assert.deepStrictEqual(judged(52_000, fault('kill', 'broker-a', 40_000, 45_000)), [
      [],
      [`${text} (kill of broker-a)`],
      [1, 0],
    ])
    assert.deepStrictEqual(judged(2_024, fault('kill', 'name server 1', 40_000, 45_000)), [
      [],
      [`${early} (kill of name server 1)`],
      [1, 1],
    ])
    for (const other of [
      fault('kill', 'replica of broker-a', 40_000, 45_000),
      fault('cut', 'broker-a', 40_000, 45_000),
      fault('kill', 'broker-a', 51_000, 55_000),
      fault('kill', 'publish 9', 40_000, 45_000),
    ])
      assert.deepStrictEqual(judged(2_024, other), [[early], [], [1, 1]])
  })

  it('does not take for a change of queue what was stored once more in the queue behind it', () => {
    const again: Happening = {
      kind: 'held',
      queue: QUEUE,
      offset: 3,
      messageId: 'id-2',
      key: 'k',
      storedAt: 950,
    }

    const { figures } = judge([
      ...sound,
      again,
      record('start', 3, 2_030, { messageId: 'id-2' }),
      record('end', 3, 2_031, { messageId: 'id-2' }),
    ])

    assert.deepStrictEqual([figures['how often they did'], figures['records twice']], [0, 0])
  })

  it('takes as the cause of a copy only what came before the invocation that had done it was over', () => {
    const ended = firstInvocation(2_100, 200)
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

    const stalled = (at: number, ms: number): Happening[] => [
      ...history,
      { ...message, storedAt: 2_000 },
      { kind: 'stall', at, until: at + ms },
    ]
    const [enough, short, before] = [
      judge(stalled(50_000, 9_000)),
      judge(stalled(50_000, 8_000)),
      judge(stalled(0, 10_000)),
    ]

    const text =
      'takeover: chaos-block had nobody at orders/broker-a/0 for 70000 ms after consume-block 1 was killed'
    assert.deepStrictEqual([waited.violations, waited.figures['longest takeover, ms']], [[text], 70_000])
    assert.deepStrictEqual([nothingThere.violations, nothingThere.figures['longest takeover, ms']], [[], 100])
    assert.deepStrictEqual(
      [brokerWasGone.violations, brokerWasGone.explained],
      [[], [`${text} (silent of broker-a)`]],
    )
    assert.deepStrictEqual([goneBefore.violations, shortlyGone.violations], [[text], [text]])
    assert.deepStrictEqual(enough.explained, [`${text} (stall of the machine)`])
    assert.deepStrictEqual([short.violations, before.violations], [[text], [text]])
  })

  it('explains that by a dispatcher that was killed or asleep as the lease ran out, in its own group only', () => {
    const killed = 2_030
    const late = killed + 71_000
    const found = (group: string, ...faults: Happening[]): ReturnType<typeof judge> => {
      const own = { group, queue: 'orders/broker-a/1', messageId: 'id-9', key: 'other' }
      return judge([
        ...sound,
        record('start', 8, 2_001, { ...own, messageId: 'id-8', pid: 7 }),
        fault('kill', 'consume-dispatched 7', killed, killed),
        record('start', 9, late, { ...own, invocation: 'second', pid: 8 }),
        record('end', 9, late + 5, { ...own, invocation: 'second', pid: 8 }),
        { kind: 'held', queue: own.queue, messageId: 'id-9', key: 'other', offset: 9, storedAt: 2_000 },
        ...faults,
      ])
    }
    const isNamed = ({ violations }: ReturnType<typeof judge>): boolean =>
      violations.some((each) => /^takeover:/.test(each))
    const causesOf = ({ explained }: ReturnType<typeof judge>): string[] =>
      explained.filter((each) => /^takeover:/.test(each)).map((each) => each.slice(each.indexOf('(')))
    const end = killed + 60_000
    const kill = fault('kill', 'dispatch 3', end - 500, end - 500)
    const sleep = fault('suspend', 'dispatch 3', end - 5_000, end + 4_000)

    const [byKill, bySleep] = [found('chaos-dispatched', kill), found('chaos-dispatched', sleep)]
    const unexplained = [
      found('chaos-dispatched'),
      found('chaos-block', kill),
      found('chaos-dispatched', fault('kill', 'consume-dispatched 3', end, end)),
      found('chaos-dispatched', fault('kill', 'dispatch 3', end - 3_000, end - 3_000)),
      found('chaos-dispatched', fault('suspend', 'dispatch 3', end + 2_000, end + 9_000)),
    ]

    assert.deepStrictEqual([byKill, bySleep].map(causesOf), [
      ['(kill of dispatch 3)'],
      ['(suspend of dispatch 3)'],
    ])
    assert.deepStrictEqual(unexplained.map(isNamed), [true, true, true, true, true])
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

  it('explains records that were passed over behind others that came again by a kill while who had done them was at work: it commits them late', () => {
    const again = [0, 2].flatMap((each) => {
      const other = { invocation: `again-${each}`, pid: 2 + each }
      return [
        record('start', each, 3_000 + each, other),
        record('end', each, 3_000 + each, other),
        invocation({ name: 'consume-block', ...other, at: 3_010 + each, durationMs: 20 }),
      ]
    })
    const found = (killedAt: number, history: readonly Happening[] = sound): string[] =>
      [
        judge([
          ...history,
          ...again,
          firstInvocation(3_500, 2_000),
          fault('kill', 'broker-a', killedAt, 2_900),
        ]),
      ].flatMap(({ violations }) => violations.filter((each) => each.startsWith('order:')))

    const within = found(2_100)
    const before = found(1_400)
    const neverDone = found(
      2_100,
      sound.filter((each) => each !== handled[2] && each !== handled[3]),
    )

    const text = 'order: chaos-block began orders/broker-a/0/2 before 1 was done'
    assert.deepStrictEqual([within, before], [[], [text]])
    assert.deepStrictEqual(neverDone.includes(text), true)
  })

  it('explains a second owner by a kill of the broker at any time of the invocation that had the queue first', () => {
    const own = firstInvocation(4_000, 3_500)
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
        judged(fault('suspend', 'publish 3', 12_000, 19_500)),
        judged(fault('suspend', 'publish 4', 12_000, 19_500)),
        judged(fault('suspend', 'publish 3', 5_000, 9_000)),
        // It had all the time that it keeps back for its end.
        judged(fault('suspend', 'publish 3', 10_200, 11_200)),
        judged(fault('suspend', 'publish 3', 12_000, 19_000)),
      ],
      [[`${text} (suspend of publish 3)`], [], [], [], []],
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
