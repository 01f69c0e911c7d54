import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { catalogue } from '../../../src/commands/catalogue.ts'
import { RequestCode } from '../../../src/commands/codes.ts'
import {
  type AnyCommand,
  type AnyFields,
  COMMON_ANSWERS,
  decodeFields,
  encodeFields,
  isResult,
  meaningOf,
} from '../../../src/commands/define.ts'
import * as commands from '../../../src/commands/index.ts'
import { ConfigError, ProtocolError, RocketMQError } from '../../../src/errors.ts'

type Values = Record<string, unknown>

const CODES = [
  10, 11, 12, 14, 15, 17, 21, 26, 28, 29, 30, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 46, 105, 106, 200,
  201, 202, 206, 207, 208, 215, 216, 220, 222, 300, 307, 309, 310, 320, 351, 352, 370, 1001, 1011, 200050,
  200051, 200053, 200151,
]

/** Values of every kind, with the ends of each range among them. */
const SAMPLES: Record<string, readonly unknown[]> = {
  string: ['text', 'ä 主题 \u0001\u0002', '%RETRY%group'],
  int: [-2147483648, 2147483647, 0, -1],
  long: [-9223372036854775808n, 9223372036854775807n, 0n, 9007199254740993n],
  boolean: [true, false],
}

const MISFITS: Record<string, readonly unknown[]> = {
  string: [1, true, 1n, {}],
  int: ['1', 1n, 1.5, Number.NaN, 2147483648, -2147483649, true],
  long: ['1', 1, 2n ** 63n, -(2n ** 63n) - 1n],
  boolean: ['true', 0, 1n],
}

const MISFIT_TEXTS: Record<string, readonly string[]> = {
  string: [],
  int: ['x', '1.5', '2147483648', '-2147483649', ' 1', '0x10', '1e3', 'null'],
  long: ['x', '1.0', '9223372036854775808', '-9223372036854775809', '1n', '9'.repeat(1000)],
  boolean: ['TRUE', '1', 'yes'],
}

const plain = (kind: string): string => kind.replace('?', '')

function sample(fields: AnyFields, round: number): Values {
  const values: Values = {}
  for (const [name, kind] of Object.entries(fields)) {
    const samples = SAMPLES[plain(kind)] ?? []
    values[name] = samples[round % samples.length]
  }
  return values
}

const encode = (command: AnyCommand, fields: AnyFields, values: Values): Record<string, string> =>
  fields === command.request
    ? encodeFields<Values>(command.name, fields, values, command.defaults, command.wireNames)
    : encodeFields<Values>(command.name, fields, values)

const decode = (command: AnyCommand, fields: AnyFields, ext: Record<string, string>): Values =>
  decodeFields<Values>(command.name, fields, ext, fields === command.request ? command.wireNames : undefined)

const without = (values: Values, name: string): Values =>
  Object.fromEntries(Object.entries(values).filter(([key]) => key !== name))

const naming =
  (kind: typeof ConfigError | typeof ProtocolError, name: string, command: AnyCommand) => (error: unknown) =>
    error instanceof kind && error.field === name && error.message.includes(command.name)

const wireName = (command: AnyCommand, fields: AnyFields, name: string): string =>
  (fields === command.request && command.wireNames?.[name]) || name

describe('the catalogue', () => {
  it('holds each command once under its code', () => {
    deepStrictEqual(
      [...catalogue.keys()].sort((a, b) => a - b),
      CODES,
    )
    for (const [code, command] of catalogue) strictEqual(command.code, code)
  })

  it('holds every command that the entry exports', () => {
    const exported = Object.values(commands).filter(
      (value): value is never => typeof value === 'object' && 'code' in value && 'effect' in value,
    )
    deepStrictEqual(new Set<unknown>(exported), new Set<unknown>(catalogue.values()))
  })

  it('names each command as the request code is named', () => {
    const codes: Readonly<Record<string, number>> = RequestCode
    for (const command of catalogue.values()) strictEqual(codes[command.name], command.code, command.name)
  })

  it('sends one-way only what brokers send to clients without waiting', () => {
    const oneway = [...catalogue.values()].filter((command) => command.oneway).map((command) => command.code)
    deepStrictEqual(new Set(oneway), new Set([39, 40, 220]))
  })

  it('marks the private commands with their extension, and no other', () => {
    const marked = [...catalogue.values()]
      .filter((command) => command.extension)
      .map((command) => command.code)
    deepStrictEqual(marked, [1001, 1011])
  })

  it('never repeats what stores or delivers another copy', () => {
    const once = [...catalogue.values()]
      .filter((command) => command.effect === 'once')
      .map((command) => command.code)
    deepStrictEqual(
      once.sort((a, b) => a - b),
      [10, 36, 37, 309, 310, 320, 1001, 200050, 200053],
    )
    for (const code of [15, 34, 41, 42, 200051]) strictEqual(catalogue.get(code)?.effect, 'idempotent')
    for (const code of [11, 12, 14, 29, 30, 31, 105]) strictEqual(catalogue.get(code)?.effect, 'read')
  })
})

for (const command of catalogue.values()) {
  describe(command.name, () => {
    for (const [side, fields] of [
      ['request', command.request],
      ['response', command.response],
    ] as const) {
      it(`keeps every value of its ${side} header from writer to reader`, () => {
        for (let round = 0; round < 4; round++) {
          const values = sample(fields, round)
          deepStrictEqual(decode(command, fields, encode(command, fields, values)), values)
        }
      })

      it(`writes the defaults of its ${side} header where optional values are left out`, () => {
        const defaults = fields === command.request ? (command.defaults ?? {}) : {}
        const required = Object.keys(fields).filter(
          (name) => !fields[name]?.endsWith('?') && !(name in defaults),
        )
        const values = Object.fromEntries(
          Object.entries(sample(fields, 0)).filter(([name]) => required.includes(name)),
        )
        deepStrictEqual(decode(command, fields, encode(command, fields, values)), { ...defaults, ...values })
      })

      it(`names a missing field of its ${side} header`, () => {
        const values = sample(fields, 0)
        const ext = encode(command, fields, values)
        for (const [name, kind] of Object.entries(fields)) {
          const wire = wireName(command, fields, name)
          const rest = Object.fromEntries(Object.entries(ext).filter(([key]) => key !== wire))
          if (kind.endsWith('?')) {
            deepStrictEqual(decode(command, fields, rest), without(values, name))
            continue
          }
          throws(() => decode(command, fields, rest), naming(ProtocolError, name, command))
          if (fields === command.request && command.defaults && name in command.defaults) continue
          throws(() => encode(command, fields, without(values, name)), naming(ConfigError, name, command))
        }
      })

      it(`names a value of its ${side} header that does not fit`, () => {
        const values = sample(fields, 0)
        const ext = encode(command, fields, values)
        for (const [name, kind] of Object.entries(fields)) {
          for (const misfit of MISFITS[plain(kind)] ?? []) {
            throws(
              () => encode(command, fields, { ...values, [name]: misfit }),
              naming(ConfigError, name, command),
            )
          }
          const wire = wireName(command, fields, name)
          for (const text of MISFIT_TEXTS[plain(kind)] ?? []) {
            throws(
              () => decode(command, fields, { ...ext, [wire]: text }),
              naming(ProtocolError, name, command),
            )
          }
        }
      })

      it(`ignores unknown fields of its ${side} header`, () => {
        const values = sample(fields, 1)
        const ext = encode(command, fields, values)
        deepStrictEqual(encode(command, fields, { ...values, MSG_REGION: 'x', constructor: 1 }), ext)
        deepStrictEqual(decode(command, fields, { ...ext, MSG_REGION: 'x', __proto__: 'y', zz: '' }), values)
      })
    }

    it('refuses body bytes that are no body of its own', () => {
      for (const codec of [command.requestBody, command.responseBody]) {
        for (const text of [
          '',
          '[',
          '[]',
          '1',
          '{"a":',
          '{{}:1}',
          'null',
          '{"offsetTable":{"x":1},"mqTable":{1:2}}',
        ]) {
          try {
            codec.decode(Buffer.from(text))
          } catch (error) {
            ok(RocketMQError.is(error) && error.code === 'RMQ_PROTOCOL', String(error))
          }
        }
      }
    })
  })
}

describe('empty header text', () => {
  it('is absent where a field is optional, itself where it is text, and missing where it is a number', () => {
    const { request } = commands.ConsumerSendMsgBack
    const ext = {
      offset: '1',
      group: '',
      delayLevel: '0',
      originTopic: 't',
      originMsgId: '',
      maxReconsumeTimes: '',
    }
    deepStrictEqual(decodeFields('36', request, ext), {
      offset: 1n,
      group: '',
      delayLevel: 0,
      originTopic: 't',
    })
    throws(
      () => decodeFields('36', request, { ...ext, offset: '' }),
      (error) => error instanceof ProtocolError && error.field === 'offset',
    )
  })
})

describe('wire names', () => {
  it('are those of upstream for the broker name, in either send header', () => {
    strictEqual(catalogue.get(10)?.wireNames?.['brokerName'], 'bname')
    strictEqual(catalogue.get(310)?.wireNames?.['brokerName'], 'n')
  })

  it('are one letter each and differ, for every field of the short send header', () => {
    const names = Object.values(catalogue.get(310)?.wireNames ?? {})
    deepStrictEqual(names, 'abcdefghijklmn'.split(''))
    deepStrictEqual(
      Object.keys(catalogue.get(310)?.wireNames ?? {}),
      Object.keys(catalogue.get(310)?.request ?? {}),
    )
  })
})

describe('the meaning of an answer', () => {
  it('is the command’s own before the common one, and a failure where neither knows the code', () => {
    deepStrictEqual(
      [0, 17, 19, 20, 21, 26, 999].map((code) => meaningOf(commands.PullMessage, code)),
      ['done', 'refresh-route', 'empty', 'skip', 'moved', 'create', 'fail'],
    )
    deepStrictEqual(
      [0, 10, 11, 12, 2, 13].map((code) => meaningOf(commands.SendMessageV2, code)),
      ['done', 'stored', 'stored', 'stored', 'other-broker', 'fix'],
    )
    strictEqual(meaningOf(commands.EndTransaction, 11), 'refresh-route')
    strictEqual(meaningOf(commands.QueryConsumerOffset, 22), 'empty')
    strictEqual(meaningOf(commands.UpdateConsumerOffset, 26), 'create')
    strictEqual(meaningOf(commands.PopMessage, 210), 'empty')
    strictEqual(meaningOf(commands.AckMessage, 208), 'fix')
  })

  it('decides whether a call resolves', () => {
    const results = [0, 2, 13, 14, 16, 17, 29, 215, 501, 1500].filter((code) =>
      isResult(COMMON_ANSWERS[code] ?? 'fail'),
    )
    deepStrictEqual(results, [0])
    for (const code of [0, 19, 20, 21]) ok(isResult(meaningOf(commands.PullMessage, code)))
    for (const code of [1, 2, 17, 24, 26]) ok(!isResult(meaningOf(commands.PullMessage, code)))
  })
})

describe('what a request always carries', () => {
  it('is, for a pull, the offsets, times and versions that the broker cannot do without', () => {
    const { request, defaults } = commands.PullMessage
    deepStrictEqual(
      {
        ...encodeFields(
          'PULL_MESSAGE',
          request,
          {
            consumerGroup: 'g',
            topic: 't',
            queueId: 0,
            queueOffset: 5n,
            maxMsgNums: 32,
            sysFlag: commands.PULL_SUBSCRIPTION,
            subscription: '*',
          },
          defaults,
        ),
      },
      {
        consumerGroup: 'g',
        topic: 't',
        queueId: '0',
        queueOffset: '5',
        maxMsgNums: '32',
        sysFlag: '4',
        commitOffset: '0',
        suspendTimeoutMillis: '0',
        subscription: '*',
        subVersion: '0',
      },
    )
  })

  it('is, for an offset query, the wish to hear that there is none', () => {
    const { request, defaults } = commands.QueryConsumerOffset
    const ext = encodeFields('14', request, { consumerGroup: 'g', topic: 't', queueId: 1 }, defaults)
    deepStrictEqual({ ...ext }, { consumerGroup: 'g', topic: 't', queueId: '1', setZeroIfNotFound: 'false' })
  })

  it('is, for a send-back, the original topic: the type asks for it and so does the encoder', () => {
    const { request } = commands.ConsumerSendMsgBack
    throws(
      // @ts-expect-error: originTopic is missing
      () => encodeFields('36', request, { offset: 1n, group: 'g', delayLevel: 0 }),
      (error) => error instanceof ConfigError && error.field === 'originTopic',
    )
  })
})
