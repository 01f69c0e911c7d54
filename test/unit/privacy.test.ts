/**
 * Nothing tells a body, key, property or secret: neither what is made of a client, nor its errors in any mode of failure, nor what
 * functions log of them, nor the command line. Mappings have a test of their own (lambda/privacy.test.ts).
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ClientOptions, createClient } from '../../src/index.ts'
import { transactionEnder } from '../../src/lambda/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { allOf, CANARY, found } from '../support/canary.ts'
import { createCertificate } from '../support/certificates.ts'
import { runCommand } from '../support/command-line.ts'
import { everything, fakeCluster, type Handler } from '../support/fake-cluster.ts'
import { closedPort } from '../support/fake-server.ts'
import { CREDENTIALS, checkSilence, listening, SECRET, work } from '../support/silence.ts'

const answering =
  (code: number, remark: string): Handler =>
  () => ({ code, remark })

/** How brokers answer everything. */
const MODES: Readonly<Record<string, Handler>> = {
  'an unknown user': answering(16, 'User:billing is not found.'),
  'a wrong signature': answering(16, 'check signature failed.'),
  'a missing grant': answering(
    16,
    'User:billing has no permission to access Topic:orders from 10.0.0.1, no matched policies.',
  ),
  'an exception': answering(1, 'java.lang.RuntimeException: disk\n\tat org.apache'),
  'an illegal message': answering(13, 'the message is illegal'),
  'a busy broker': answering(2, '[TIMEOUT_CLEAN_QUEUE]broker busy'),
  'an unknown request': answering(3, 'request type not supported'),
  'no topic': answering(17, 'topic not exist'),
  'headers that are nonsense': () => ({ ext: { msgId: 'x', queueId: 'many', queueOffset: '-' } }),
  'bodies that are nonsense': () => ({ body: Buffer.from([0xff, 0x7b]) }),
  nothing: () => undefined,
  'a reset': (_, connection) => connection.reset(),
  'the end of the connection': (_, connection) => connection.end(),
  'bytes that are no frame': (_, connection) =>
    connection.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
}

it('the word is found where it is hidden: in a cause, behind a symbol, in bytes, in base64', () => {
  const hiding = [
    new Error('x', { cause: new Error(CANARY) }),
    Object.defineProperty({}, Symbol('s'), { value: [CANARY], enumerable: false }),
    { deep: { deeper: [{ bytes: Buffer.from(`x${CANARY}`) }] } },
    { text: Buffer.from(`xx${CANARY}yy`).toString('base64') },
    { toJSON: () => CANARY },
  ]

  deepStrictEqual(
    hiding.map((each) => found(allOf(each)).length > 0),
    hiding.map(() => true),
  )
})

describe('nothing is told of bodies, keys, properties and secrets by', () => {
  for (const [what, handler] of Object.entries(MODES)) {
    it(`a client and functions whose broker answers with ${what}`, async (t) => {
      const { told } = listening(t)
      const cluster = await fakeCluster(t, { brokers: { 'broker-a': everything(handler) } })
      const client = cluster.client({ credentials: CREDENTIALS, timeoutMs: 1_000 })

      const all = await work(client)

      ok(all.came.length === 26 && cluster.broker().frames.length > 0)
      checkSilence([all, told])
    })
  }

  it('a client and functions without a server, without credentials that work, and when they are closed', async (t) => {
    const { told } = listening(t)
    const gone = await closedPort()
    const failing = async (): Promise<never> => {
      throw new Error('the vault is closed')
    }
    const cluster = await fakeCluster(t)
    const clients = [
      createClient({ nameServers: gone, credentials: CREDENTIALS, timeoutMs: 1_000 }),
      cluster.client({ credentials: failing, timeoutMs: 100 }),
      cluster.client({
        credentials: (async () => ({ secretKey: CREDENTIALS.secretKey })) as never,
        timeoutMs: 100,
      }),
      cluster.client({ credentials: CREDENTIALS, timeoutMs: 1_000 }),
    ]
    await clients.at(-1)?.close()

    const all = await Promise.all(clients.map((each) => work(each)))

    checkSilence([all, told])
    await clients[0]?.close()
  })

  it('a client and functions with a key of their own for TLS, and with what is none', async (t) => {
    const { told } = listening(t)
    const gone = await closedPort()
    const { key, cert } = createCertificate({ name: 'function' })
    const passphrase = `${CANARY}-passphrase`
    const clients = [
      { key, cert, passphrase },
      { key: [{ pem: key, passphrase }], cert },
      { key: `${CANARY}-key`, cert, passphrase },
      { pfx: Buffer.from(`${CANARY}-pfx`), passphrase },
    ].map((tls) => createClient({ nameServers: gone, tls, timeoutMs: 1_000 }))

    const all = await Promise.all(clients.map((each) => work(each)))

    checkSilence([all, told])
    // Of the text of a key, a part of one line.
    ok(!allOf([all, told]).includes(key.split('\n')[1]?.slice(10, 50) ?? ''))
    await Promise.all(clients.map((each) => each.close()))
  })

  it('a client that does all of it on a broker that takes it', async (t) => {
    const { told } = listening(t)
    await using broker = await startBroker({
      topics: { orders: { queues: 1 } },
      users: { billing: { secretKey: CREDENTIALS.secretKey } },
      transactionTimeOut: 1,
    })
    const client = createClient({ nameServers: broker.nameServers, credentials: CREDENTIALS })
    t.after(() => client.close())

    const { made } = await work(client, 30_000)

    ok(broker.messages('orders').length > 3)
    checkSilence([made, told])
  })

  it('options that are wrong', () => {
    const errors: unknown[] = []
    const wrong: ClientOptions[] = [
      { nameServers: 'a:1', credentials: { accessKey: '', secretKey: CREDENTIALS.secretKey } },
      { nameServers: 'a:1', credentials: { accessKey: 5 as never, secretKey: CREDENTIALS.secretKey } },
      { nameServers: 'a:1', credentials: { ...CREDENTIALS, securityToken: { text: CANARY } as never } },
      { nameServers: 'a:1', credentials: [CREDENTIALS] as never },
      { nameServers: 'a:1', credentials: CREDENTIALS.secretKey as never },
    ]
    for (const options of wrong)
      try {
        createClient(options)
      } catch (error) {
        errors.push(error)
      }
    for (const secret of [`${CANARY}`, [SECRET, CANARY], { text: CANARY }] as never[])
      try {
        transactionEnder({ topics: ['orders'], producerGroup: 'shop', secret })
      } catch (error) {
        errors.push(error)
      }

    deepStrictEqual(errors.length, 8)
    checkSilence(errors)
  })

  it('the command line, whatever it is refused with', async () => {
    await using broker = await startBroker({ topics: ['orders'], users: { known: { secretKey: 'another' } } })
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
      ROCKETMQ_SECRET_KEY: CREDENTIALS.secretKey,
      ROCKETMQ_SECURITY_TOKEN: CREDENTIALS.securityToken,
      ROCKETMQ_TIMEOUT_MS: '2000',
    }
    const lines = [
      'send orders x',
      'lag billing',
      'doctor --function publish --topic orders',
      'topic show orders',
    ]
    const ended = await Promise.all(
      lines.flatMap((line) =>
        ['known', 'stranger'].map((ROCKETMQ_ACCESS_KEY) =>
          runCommand(line.split(' '), { environment: { ...environment, ROCKETMQ_ACCESS_KEY } }),
        ),
      ),
    )

    ok(
      ended.every(({ code, stdout, stderr }) => code === 1 && /signature|is not found/.test(stdout + stderr)),
    )
    checkSilence(ended)
  })
})
