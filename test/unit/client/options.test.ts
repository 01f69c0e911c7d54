import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { createClient } from '../../../src/client/client.ts'
import { type ClientOptions, resolveOptions, templates } from '../../../src/client/options.ts'
import { factsOf } from '../../support/net.ts'

const nameServers = '10.0.0.5:9876'

/** What is thrown for these options in this environment. */
function thrown(options: object, environment: NodeJS.ProcessEnv = {}): Error {
  try {
    resolveOptions(options as ClientOptions, environment)
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error(`not refused: ${inspect(options)}`)
}

const refused = (field: string): object => ({
  code: 'RMQ_CONFIG',
  retryable: false,
  outcome: 'not-sent',
  field,
})

describe('the options of a client', () => {
  it('have defaults', () => {
    deepStrictEqual(resolveOptions({ nameServers }, {}), {
      nameServers: ['10.0.0.5:9876'],
      credentials: undefined,
      tls: undefined,
      namespace: '',
      timeoutMs: 3_000,
      routeTtlMs: 30_000,
      addressMap: undefined,
      allowedAddresses: undefined,
      pool: { maxIdleMs: 30_000, connectTimeoutMs: 3_000, maxFrameBytes: 16_777_216 },
      extensions: { messageNumbers: false },
    })
  })

  it('are taken as they are given', () => {
    const addressMap = (): undefined => undefined
    const credentials = { accessKey: 'AK', secretKey: 'SK', securityToken: 'ST' }
    const pool = { maxIdleMs: 1, connectTimeoutMs: 2, maxFrameBytes: 3 }

    deepStrictEqual(
      resolveOptions(
        {
          nameServers: [' a:1 ', 'b:2', 'a:1', ''],
          credentials,
          tls: { ca: 'PEM' },
          namespace: 'ns',
          timeoutMs: 5,
          routeTtlMs: 6,
          addressMap,
          allowedAddresses: ['10.0.0.0/8'],
          pool,
          extensions: { messageNumbers: true },
        },
        {},
      ),
      {
        nameServers: ['a:1', 'b:2'],
        credentials,
        tls: { ca: 'PEM' },
        namespace: 'ns',
        timeoutMs: 5,
        routeTtlMs: 6,
        addressMap,
        allowedAddresses: ['10.0.0.0/8'],
        pool,
        extensions: { messageNumbers: true },
      },
    )
  })

  it('may name name servers in many ways', () => {
    for (const [given, expected] of [
      ['a:1;b:2', ['a:1', 'b:2']],
      [' a:1 ; ; b:2;', ['a:1', 'b:2']],
      ['[::1]:9876;2001:db8::1:9876', ['[::1]:9876', '2001:db8::1:9876']],
      [['a:1'], ['a:1']],
    ] as const) {
      deepStrictEqual(resolveOptions({ nameServers: given }, {}).nameServers, expected)
    }
  })

  it('have templates to spread', () => {
    const cold = resolveOptions({ ...templates.cold, nameServers }, {})
    const warm = resolveOptions({ ...templates.warm, nameServers }, {})

    deepStrictEqual(cold, resolveOptions({ nameServers }, {}))
    ok(warm.routeTtlMs > cold.routeTtlMs && warm.pool.maxIdleMs > cold.pool.maxIdleMs)
    ok(warm.pool.maxIdleMs < 120_000) // brokers close then
  })

  const numbers = ['timeoutMs', 'routeTtlMs', 'pool.maxIdleMs', 'pool.connectTimeoutMs', 'pool.maxFrameBytes']
  for (const field of numbers) {
    it(`take a whole number of at least 1 for ${field}`, () => {
      for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5', null, {}]) {
        const [name = '', part] = field.split('.')
        const options = part ? { pool: { [part]: value } } : { [name]: value }
        deepStrictEqual(factsOf(thrown({ nameServers, ...options })), refused(field), inspect(value))
      }
    })
  }

  const cases: readonly [what: string, options: object, field: string][] = [
    ['no name server', { nameServers: undefined }, 'nameServers'],
    ['an empty list of name servers', { nameServers: [] }, 'nameServers'],
    ['name servers of nothing but separators', { nameServers: ' ; ' }, 'nameServers'],
    ['a number for name servers', { nameServers: 5 }, 'nameServers'],
    ['a name server without a port', { nameServers: '10.0.0.5' }, 'nameServers'],
    ['a name server with a port beyond 65535', { nameServers: 'a:65536' }, 'nameServers'],
    ['a name server with a scheme', { nameServers: 'tcp://a:9876' }, 'nameServers'],
    ['name servers separated by a comma', { nameServers: 'a:1,b:2' }, 'nameServers'],
    ['no access key', { credentials: { secretKey: 'SK' } }, 'credentials.accessKey'],
    ['an empty secret key', { credentials: { accessKey: 'AK', secretKey: '' } }, 'credentials.secretKey'],
    [
      'a number for a token',
      { credentials: { accessKey: 'AK', secretKey: 'SK', securityToken: 5 } },
      'credentials.securityToken',
    ],
    ['null for credentials', { credentials: null }, 'credentials.accessKey'],
    ['text for tls', { tls: 'yes' }, 'tls'],
    ['null for tls', { tls: null }, 'tls'],
    ['a number for the namespace', { namespace: 5 }, 'namespace'],
    ['a namespace that no topic name can hold', { namespace: 'a b' }, 'namespace'],
    ['text for addressMap', { addressMap: 'a:1' }, 'addressMap'],
    ['text for allowedAddresses', { allowedAddresses: '10.0.0.1' }, 'allowedAddresses'],
    ['a number among allowedAddresses', { allowedAddresses: ['10.0.0.1', 5] }, 'allowedAddresses'],
    ['null for pool', { pool: null }, 'pool'],
    ['a number for pool', { pool: 5 }, 'pool'],
    ['text for messageNumbers', { extensions: { messageNumbers: 'true' } }, 'extensions.messageNumbers'],
    ['a number for extensions', { extensions: 5 }, 'extensions'],
  ]
  for (const [what, options, field] of cases) {
    it(`refuse ${what}`, () => {
      deepStrictEqual(factsOf(thrown({ nameServers, ...options })), refused(field))
    })
  }

  for (const [entry, field] of [
    ['10.0.0.0/33', 'allowedAddresses[1]'],
    ['::/129', 'allowedAddresses[1]'],
    ['host/8', 'allowedAddresses[1]'],
    ['a b', 'allowedAddresses[1]'],
    ['', 'allowedAddresses[1]'],
    ['*', 'allowedAddresses[1]'],
    ['*.*.test', 'allowedAddresses[1]'],
    ['10.0.0.1:10911', 'allowedAddresses[1]'],
  ]) {
    it(`refuse ${JSON.stringify(entry)} in allowedAddresses when the client is created`, () => {
      throws(
        () => createClient({ nameServers, allowedAddresses: ['10.0.0.1', entry as string] }),
        (error) => {
          deepStrictEqual(factsOf(error), refused(field as string))
          return true
        },
      )
    })
  }

  it('refuse a misspelt name and offer the right one', () => {
    for (const [options, key, nearest] of [
      [{ nameserver: 'x' }, 'nameserver', 'nameServers'],
      [{ namesrvAddr: 'x' }, 'namesrvAddr', 'nameServers'],
      [{ timeout: 5 }, 'timeout', 'timeoutMs'],
      [{ timeoutms: 5 }, 'timeoutms', 'timeoutMs'],
      [{ credential: {} }, 'credential', 'credentials'],
      [{ routeTTL: 5 }, 'routeTTL', 'routeTtlMs'],
      [{ pool: { maxIdle: 5 } }, 'maxIdle', 'maxIdleMs'],
      [{ extensions: { messageNumber: true } }, 'messageNumber', 'messageNumbers'],
    ] as const) {
      const error = thrown({ nameServers, ...options })
      deepStrictEqual([factsOf(error)['code'], error.message.includes(nearest)], ['RMQ_CONFIG', true], key)
      ok(String(factsOf(error)['field']).endsWith(key))
    }
  })

  it('are an object', () => {
    for (const nonsense of [null, 5, 'a:1'])
      strictEqual(factsOf(thrown(nonsense as unknown as object))['code'], 'RMQ_CONFIG')
  })
})

describe('the environment', () => {
  const environment = {
    ROCKETMQ_NAMESRV_ADDR: 'a:1;b:2',
    ROCKETMQ_ACCESS_KEY: 'AK',
    ROCKETMQ_SECRET_KEY: 'SK',
    ROCKETMQ_SECURITY_TOKEN: 'ST',
    ROCKETMQ_TLS: 'true',
    ROCKETMQ_TLS_CA: 'PEM',
    ROCKETMQ_NAMESPACE: 'ns',
    ROCKETMQ_TIMEOUT_MS: '1500',
  }

  it('stands in for options that are not given', () => {
    const {
      nameServers: servers,
      credentials,
      tls,
      namespace,
      timeoutMs,
      pool,
    } = resolveOptions({}, environment)

    deepStrictEqual(
      [servers, credentials, tls, namespace, timeoutMs, pool.connectTimeoutMs],
      [
        ['a:1', 'b:2'],
        { accessKey: 'AK', secretKey: 'SK', securityToken: 'ST' },
        { ca: 'PEM' },
        'ns',
        1_500,
        1_500,
      ],
    )
  })

  it('gives way to options that are', () => {
    const {
      nameServers: servers,
      credentials,
      tls,
      namespace,
      timeoutMs,
    } = resolveOptions(
      {
        nameServers,
        credentials: { accessKey: 'x', secretKey: 'y' },
        tls: false,
        namespace: '',
        timeoutMs: 7,
      },
      environment,
    )

    deepStrictEqual(
      [servers, credentials, tls, namespace, timeoutMs],
      [['10.0.0.5:9876'], { accessKey: 'x', secretKey: 'y' }, undefined, '', 7],
    )
  })

  it('gives the CA to an option that only says that there is TLS', () => {
    deepStrictEqual(resolveOptions({ nameServers, tls: true }, { ROCKETMQ_TLS_CA: 'PEM' }).tls, { ca: 'PEM' })
  })

  it('is refused when it has a CA and does not say that there is TLS: that would be plain text', () => {
    throws(() => resolveOptions({ nameServers }, { ROCKETMQ_TLS_CA: 'PEM' }), {
      name: 'ConfigError',
      field: 'ROCKETMQ_TLS_CA',
    })
    for (const tls of [{ tls: false }, { tls: { ca: 'other' } }])
      deepStrictEqual(
        resolveOptions({ nameServers, ...tls }, { ROCKETMQ_TLS_CA: 'PEM' }).tls,
        tls.tls || undefined,
      )
  })

  it('may have empty variables, which count as not set', () => {
    const empty = Object.fromEntries(Object.keys(environment).map((name) => [name, '']))

    deepStrictEqual(resolveOptions({ nameServers }, empty), resolveOptions({ nameServers }, {}))
  })

  for (const [name, value, field] of [
    ['ROCKETMQ_NAMESRV_ADDR', 'nowhere', 'ROCKETMQ_NAMESRV_ADDR'],
    ['ROCKETMQ_TIMEOUT_MS', 'soon', 'ROCKETMQ_TIMEOUT_MS'],
    ['ROCKETMQ_TIMEOUT_MS', '0', 'ROCKETMQ_TIMEOUT_MS'],
    ['ROCKETMQ_TLS', 'yes', 'ROCKETMQ_TLS'],
    ['ROCKETMQ_ACCESS_KEY', '', 'ROCKETMQ_ACCESS_KEY'],
    ['ROCKETMQ_SECRET_KEY', undefined, 'ROCKETMQ_SECRET_KEY'],
  ] as const) {
    it(`is refused by the name of the variable: ${name} = ${JSON.stringify(value)}`, () => {
      deepStrictEqual(factsOf(thrown({}, { ...environment, [name]: value })), refused(field))
    })
  }

  it('is that of the process, unless another is given', () => {
    const source = JSON.stringify(new URL('../../../src/client/options.ts', import.meta.url).href)
    const printed = execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { resolveOptions } from ${source}; console.log(JSON.stringify(resolveOptions({}).nameServers))`,
      ],
      { env: { ROCKETMQ_NAMESRV_ADDR: 'a:1' } },
    )

    deepStrictEqual(JSON.parse(printed.toString()), ['a:1'])
  })
})

describe('a secret', () => {
  const SECRET = 'S3CRET'

  it('stands in no error of the options', () => {
    const errors = [
      thrown({ nameServers, credentials: { accessKey: SECRET } }),
      thrown({ nameServers, credentials: { secretKey: SECRET } }),
      thrown({ nameServers, credentials: { accessKey: '', secretKey: SECRET } }),
      thrown({ nameServers, credentials: { accessKey: 5, secretKey: SECRET, securityToken: SECRET } }),
      thrown({}, { ROCKETMQ_NAMESRV_ADDR: 'a:1', ROCKETMQ_SECRET_KEY: SECRET }),
    ]

    ok(
      !errors.some((error) =>
        `${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}`.includes(SECRET),
      ),
    )
  })

  it('stands in nothing that a client shows of itself', async () => {
    const client = createClient({
      nameServers,
      credentials: { accessKey: SECRET, secretKey: SECRET, securityToken: SECRET },
      tls: { key: SECRET, passphrase: SECRET },
    })

    ok(!`${inspect(client, { depth: 9 })}${JSON.stringify(client)}`.includes(SECRET))
    await client.close()
  })
})
