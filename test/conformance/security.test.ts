/** Access control and TLS of a real broker (protocol.md 18): the cases of access.ts, and whose certificate is taken. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createClient, createProducer, createPullConsumer, type RocketMQError } from '../../src/index.ts'
import { createCertificate } from '../support/certificates.ts'
import { setUser } from '../support/rocketmq/acl.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { authSettings, type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { accessControl, ROOT, TOPIC } from './access.ts'
import { until } from './context.ts'

if (await realBrokerAvailable()) {
  let rocketmq: RocketMQ | undefined
  accessControl(
    'a broker with access control and TLS',
    async (users) => {
      const started = await startRocketMQ({ settings: authSettings(ROOT) })
      rocketmq = started
      const [broker] = started.brokers
      ok(broker)
      const { address, name } = broker
      const administrator = createClient({
        nameServers: started.nameServers,
        credentials: ROOT,
        timeoutMs: 20_000,
      })
      for (const [user, settings] of Object.entries(users))
        await setUser(administrator, address, user, settings)
      return {
        nameServers: started.nameServers,
        address,
        name,
        setUser: (user, settings) => setUser(administrator, address, user, settings),
        async stop() {
          await administrator.close()
          await started.stop()
        },
      }
    },
    (connect) => {
      it('TLS is verified against the given certificate, and name server and broker both speak it', async () => {
        ok(rocketmq?.certificatePath, 'openssl is missing')
        const client = connect({ credentials: ROOT, tls: { ca: readFileSync(rocketmq.certificatePath) } })
        const body = randomBytes(300_000)
        const { messageId } = await createProducer(client, { producerGroup: 'tls' }).send({
          topic: 'over-tls',
          body,
        })
        const consumer = createPullConsumer(client, { consumerGroup: 'tls' })
        const message = await until('the message', async () => {
          for (const each of await consumer.queues('over-tls')) {
            const [first] = (await consumer.pull(each, 0n)).messages
            if (first) return first
          }
          return undefined
        })
        ok(message.messageId === messageId && message.body.equals(body))
      })

      it('a certificate that nobody vouches for is refused, unless verification is turned off', async () => {
        const refused = createProducer(connect({ credentials: ROOT, tls: true }), { producerGroup: 'tls' })
        await rejects(refused.send({ topic: TOPIC, body: 'x' }), {
          name: 'ConnectError',
          outcome: 'not-sent',
          retryable: false,
        })
        const lax = createProducer(connect({ credentials: ROOT, tls: { rejectUnauthorized: false } }), {
          producerGroup: 'tls',
        })
        deepStrictEqual((await lax.send({ topic: TOPIC, body: 'x' })).status, 'SEND_OK')
      })

      it('a certificate for another name is refused', async () => {
        ok(rocketmq?.certificatePath, 'openssl is missing')
        const tls = { ca: readFileSync(rocketmq.certificatePath), servername: 'elsewhere.example' }
        const producer = createProducer(connect({ credentials: ROOT, tls }), { producerGroup: 'tls' })
        await rejects(producer.send({ topic: TOPIC, body: 'x' }), {
          name: 'ConnectError',
          outcome: 'not-sent',
          retryable: false,
        })
      })
    },
  )

  describe('a broker that asks for the certificate of its clients', () => {
    const root = createCertificate({ name: 'own root' })
    const own = createCertificate({ name: 'function', issuer: root })
    const foreign = createCertificate({ name: 'function', issuer: createCertificate({ name: 'own root' }) })
    let folder: string
    let asking: RocketMQ
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-tls-'))
      await writeFile(join(folder, 'root.pem'), root.cert)
      const jvm = [
        '-Dtls.server.mode=enforcing',
        '-Dtls.server.need.client.auth=require',
        '-Dtls.server.authClient=true',
        `-Dtls.server.trustCertPath=${join(folder, 'root.pem')}`,
      ]
      asking = await startRocketMQ({ jvm })
    })
    after(async () => {
      await asking?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    it('lets in who has one of the right root, and tells the others that TLS is what to look at', async (t) => {
      ok(asking.certificatePath, 'openssl is missing')
      const ca = readFileSync(asking.certificatePath)
      const send = async (given?: object): Promise<unknown> => {
        const tls = given && { ca, ...given }
        const client = createClient({ nameServers: asking.nameServers, tls, timeoutMs: 20_000 })
        t.after(() => client.close())
        return await createProducer(client, { producerGroup: 'tls', retries: 0 })
          .send({ topic: 'mutual', body: 'x' })
          .then(
            ({ status }) => status,
            ({ name, outcome, retryable }: RocketMQError) => [name, outcome, retryable],
          )
      }

      const answers = [
        await send({ cert: own.cert, key: own.key }),
        await send({}),
        await send({ cert: foreign.cert, key: foreign.key }),
      ]
      const plain = await send()

      const refused = ['ConnectError', 'not-sent', false]
      deepStrictEqual(answers, ['SEND_OK', refused, refused])
      ok(Array.isArray(plain), String(plain))
    })
  })
}
