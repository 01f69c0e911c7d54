import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import * as errors from '../../src/errors.ts'

const { ErrorCode, RocketMQError } = errors

/** One of each class, made with these facts. */
const make: Record<string, (facts: errors.ErrorFacts) => errors.RocketMQError> = {
  ConfigError: (facts) => new errors.ConfigError('f', 'text', facts),
  ConnectError: (facts) => new errors.ConnectError('text', facts),
  ConnectionLostError: (facts) => new errors.ConnectionLostError('text', facts),
  TimeoutError: (facts) => new errors.TimeoutError('text', facts),
  DeadlineError: (facts) => new errors.DeadlineError('text', facts),
  AbortError: (facts) => new errors.AbortError('text', facts),
  ProtocolError: (facts) => new errors.ProtocolError('text', facts),
  BrokerError: (facts) => new errors.BrokerError('text', 'remark', facts),
  AuthError: (facts) => new errors.AuthError('text', 'remark', facts),
  OffsetResetError: (facts) => new errors.OffsetResetError('text', 'remark', facts),
  RouteError: (facts) => new errors.RouteError('text', facts),
  ClosedError: (facts) => new errors.ClosedError('text', facts),
  ResponseError: (facts) => new errors.ResponseError('text', facts),
  InvokeError: (facts) => new errors.InvokeError('text', facts),
  FunctionError: (facts) => new errors.FunctionError('text', facts),
  PartialError: (facts) => new errors.PartialError('text', facts),
}

/** Without facts of its own: [code, retryable, outcome]. */
const DEFAULTS: Record<string, readonly [code: string, retryable: boolean, outcome?: string]> = {
  ConfigError: ['RMQ_CONFIG', false, 'not-sent'],
  ConnectError: ['RMQ_CONNECT', true, 'not-sent'],
  ConnectionLostError: ['RMQ_CONNECTION_LOST', true],
  TimeoutError: ['RMQ_TIMEOUT', true],
  DeadlineError: ['RMQ_DEADLINE', false],
  AbortError: ['RMQ_ABORTED', false],
  ProtocolError: ['RMQ_PROTOCOL', false],
  BrokerError: ['RMQ_BROKER', false],
  AuthError: ['RMQ_AUTH', false],
  OffsetResetError: ['RMQ_OFFSET_RESET', false],
  RouteError: ['RMQ_ROUTE', false, 'not-sent'],
  ClosedError: ['RMQ_CLOSED', false],
  ResponseError: ['RMQ_RESPONSE', false],
  InvokeError: ['RMQ_INVOKE', true],
  FunctionError: ['RMQ_FUNCTION', false],
  PartialError: ['RMQ_PARTIAL', false],
}

describe('the error classes', () => {
  it('are all in the tables of this test', () => {
    const classes = Object.values(errors)
      .filter((each) => typeof each === 'function' && each !== RocketMQError)
      .map((each) => (each as { name: string }).name)
    deepStrictEqual(Object.keys(make).sort(), classes.sort())
    deepStrictEqual(Object.keys(DEFAULTS).sort(), classes)
  })

  it('have one code each, and each code has a class', () => {
    deepStrictEqual(
      Object.values(make)
        .map((each) => each({}).code)
        .sort(),
      Object.values(ErrorCode).sort(),
    )
  })

  for (const [name, [code, retryable, outcome]] of Object.entries(DEFAULTS)) {
    it(`${name} carries its own code, name and facts`, () => {
      const error = make[name]?.({})

      ok(error instanceof RocketMQError && error instanceof Error)
      deepStrictEqual(
        [error.name, error.code, error.retryable, error.outcome, Object.hasOwn(error, 'cause')],
        [name, code, retryable, outcome, false],
      )
      ok(error.message.includes('text') && String(error).startsWith(`${name}: `))
      ok(error.stack?.includes('errors.test.ts'))
    })

    it(`${name} keeps the facts it is given`, () => {
      const cause = new Error('why')
      const facts = {
        retryable: !retryable,
        outcome: 'unknown',
        responseCode: 5,
        address: 'a:1',
        topic: 't',
        field: 'f',
        cause,
      } as const

      const error = make[name]?.(facts)

      ok(error)
      const { retryable: may, outcome: is, responseCode, address, topic, field } = error
      deepStrictEqual(
        { retryable: may, outcome: is, responseCode, address, topic, field, cause: error.cause },
        facts,
      )
      strictEqual(RocketMQError.is(error), true)
    })
  }

  it('are explained in docs/errors.md, under a heading each', () => {
    const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    const headings = [...text.matchAll(/^#+ .*?(RMQ_[A-Z_]+)/gm)].map(([, code]) => String(code))

    deepStrictEqual(headings.sort(), Object.values(ErrorCode).sort())
  })

  it('leave out facts that are undefined', () => {
    const undefinedFacts = {
      outcome: undefined,
      responseCode: undefined,
      address: undefined,
      topic: undefined,
      field: undefined,
      cause: undefined,
    }

    const error = new errors.TimeoutError('text', { ...undefinedFacts, retryable: undefined })

    deepStrictEqual([Object.keys(error).filter((key) => key in undefinedFacts), error.retryable], [[], true])
  })

  it('keep the remark of a broker', () => {
    deepStrictEqual(
      [
        new errors.BrokerError('t', 'r').remark,
        new errors.AuthError('t', 'r').remark,
        new errors.OffsetResetError('t', 'r').remark,
      ],
      ['r', 'r', 'r'],
    )
    ok(new errors.AuthError('t', 'r') instanceof errors.BrokerError)
    ok(new errors.OffsetResetError('t', 'r') instanceof errors.BrokerError)
  })

  it('are printed with their facts, without the brand', () => {
    const printed = inspect(new errors.RouteError('text', { topic: 'orders' }))

    ok(printed.includes('RouteError: text') && printed.includes('orders') && !printed.includes('Symbol('))
  })
})

describe('RocketMQError.is', () => {
  it('knows an error of another copy of this package', () => {
    const foreign = Object.defineProperty(new Error('x'), Symbol.for('rocketmq-lambda.error'), {
      value: true,
    })

    strictEqual(RocketMQError.is(foreign), true)
    strictEqual(RocketMQError.is(new Proxy(new errors.ClosedError('x'), {})), true)
  })

  it('says no to everything else, and never throws', () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    const throwing = new Proxy(
      {},
      {
        has: () => {
          throw new Error('trap')
        },
      },
    )
    const others = [
      undefined,
      null,
      0,
      1n,
      '',
      'RMQ_CLOSED',
      Symbol.for('rocketmq-lambda.error'),
      {},
      [],
      new Error('x'),
      Object.create(null),
      () => undefined,
      proxy,
      throwing,
    ]

    deepStrictEqual(
      others.map((each) => RocketMQError.is(each)),
      others.map(() => false),
    )
  })

  it('are written to JSON with their message and facts, and without stack and cause', () => {
    const cause = new Error('inner')
    const error = new errors.ConnectError('no way', { address: '10.0.0.1:10911', cause })

    deepStrictEqual(JSON.parse(JSON.stringify({ error })), {
      error: {
        message: 'no way',
        name: 'ConnectError',
        code: 'RMQ_CONNECT',
        retryable: true,
        outcome: 'not-sent',
        address: '10.0.0.1:10911',
      },
    })
  })
})
