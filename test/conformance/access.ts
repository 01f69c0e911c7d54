/**
 * Access control as cases that run on a real broker and on the local one (protocol.md 18.1): who is refused, how it is told, and
 * what each grant allows.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { findEnd } from '../../src/client/ended.ts'
import { GetConsumeStats } from '../../src/commands/groups.ts'
import { GetTopicStatsInfo, UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import {
  AuthError,
  type Client,
  type ClientOptions,
  type Credentials,
  createClient,
  createGroupAdmin,
  createOffsetAdmin,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  createTransactionProducer,
  type MessageQueue,
} from '../../src/index.ts'
import { dispatcher, type TransactionEnded, transactionEnder } from '../../src/lambda/index.ts'
import { type LocalUser, lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { until } from './context.ts'

export const ROOT: Credentials = { accessKey: 'root', secretKey: 'root-secret' }

export const TOPIC = 'secured'
const GROUP = 'secured-readers'
/** Tests run at once: a group of its own for the one that sets its offset. */
const DISPATCHED = 'secured-dispatched'

/** Who may do what; the resources are the one topic and the one group. */
const USERS = {
  writer: { 'Topic:secured': ['Pub'] },
  reader: {
    'Topic:secured': ['Sub'],
    'Group:secured-readers': ['Sub'],
    'Group:secured-dispatched': ['Sub'],
  },
  measurer: { 'Topic:secured': ['Sub', 'Get'], 'Group:secured-readers': ['Sub', 'Get'] },
  ender: {
    'Topic:secured-ends': ['Pub', 'Sub'],
    'Topic:RMQ_SYS_TRANS_HALF_TOPIC': ['Sub'],
    'Topic:RMQ_SYS_TRANS_OP_HALF_TOPIC': ['Sub', 'Get'],
    'Group:TOOLS_CONSUMER': ['Sub'],
  },
  'simple-ender': { 'Topic:secured-ends': ['Pub'] },
  nobody: {},
} as const

const credentialsOf = (user: keyof typeof USERS): Credentials => ({
  accessKey: user,
  secretKey: `${user}-secret`,
})

const userOf = (accessKey: string, grants: LocalUser['grants']): LocalUser => ({
  secretKey: `${accessKey}-secret`,
  grants,
})

export interface SecuredBroker {
  nameServers: string
  /** Address of the only master. */
  address: string
  name: string
  setUser(accessKey: string, user: LocalUser): Promise<void>
  stop(): Promise<void>
}

/**
 * Registers the cases with node:test.
 * @param start with the users that there are besides ROOT
 * @param more cases on the same broker
 */
export function accessControl(
  what: string,
  start: (users: Readonly<Record<string, LocalUser>>) => Promise<SecuredBroker>,
  more: (connect: (options: ClientOptions) => Client) => void = () => undefined,
): void {
  describe(what, { concurrency: 4 }, () => {
    let broker: SecuredBroker
    let queue: MessageQueue
    const clients: Client[] = []
    const connect = (options: ClientOptions): Client => {
      const client = createClient({ nameServers: broker.nameServers, timeoutMs: 15_000, ...options })
      clients.push(client)
      return client
    }
    const producerOf = (credentials?: ClientOptions['credentials']) =>
      createProducer(connect({ credentials }), { producerGroup: 'secured-writers' })
    const consumerOf = (credentials: Credentials) =>
      createPullConsumer(connect({ credentials }), { consumerGroup: GROUP })
    const remark = async (promise: Promise<unknown>): Promise<string> => {
      try {
        await promise
      } catch (error) {
        if (!(error instanceof AuthError)) throw error
        deepStrictEqual([error.responseCode, error.retryable], [16, false])
        return error.remark
      }
      throw new Error('the call was expected to be refused')
    }

    before(async () => {
      const users = Object.entries(USERS).map(([user, grants]) => [user, userOf(user, grants)])
      broker = await start(Object.fromEntries(users))
      queue = { topic: TOPIC, brokerName: broker.name, queueId: 0 }
      const root = connect({ credentials: ROOT })
      const limits = { deadline: root.deadline({}) }
      for (const topic of [TOPIC, 'secured-ends']) {
        const settings = { topic, readQueueNums: 1, writeQueueNums: 1 }
        await root.network.call(broker.address, UpdateAndCreateTopic, settings, undefined, limits)
      }
      await until('the route', () =>
        createPullConsumer(root, { consumerGroup: GROUP })
          .queues(TOPIC)
          .catch(() => undefined),
      )
      const producer = createProducer(root, { producerGroup: 'secured-writers' })
      await producer.send({ topic: TOPIC, body: 'first' })
      // A group exists from its first pull on.
      for (const consumerGroup of [GROUP, DISPATCHED])
        await createPullConsumer(root, { consumerGroup }).pull(queue, 0n)
    })
    after(async () => {
      await Promise.all(clients.map((client) => client.close()))
      await broker?.stop()
    })

    it('an administrator is told which permission is missing, and reads with Get alone', async () => {
      const [measurer, writer] = [
        connect({ credentials: credentialsOf('measurer') }),
        connect({ credentials: credentialsOf('writer') }),
      ]
      const groups = createGroupAdmin(measurer)
      const offsets = createOffsetAdmin(measurer)
      const plan = await offsets.plan({ consumerGroup: GROUP, topic: TOPIC, to: 'latest' })
      // Whoever is known to the broker may see the names of all.
      ok((await groups.list()).includes(GROUP))
      const [described] = await groups.describe(GROUP)
      const [topic] = await createTopicAdmin(measurer).describe(TOPIC)
      const { queues } = await groups.stats(GROUP, { topic: TOPIC })
      deepStrictEqual(
        [described?.config.groupName, topic?.readQueueNums, queues.length, plan.queues.length],
        [GROUP, 1, 1, 1],
      )
      const refused = await Promise.all([
        remark(offsets.reset(plan)),
        remark(createTopicAdmin(measurer).update(TOPIC, { readQueueNums: 2 })),
        remark(createTopicAdmin(writer).delete(TOPIC)),
        remark(createTopicAdmin(writer).create('another')),
      ])
      deepStrictEqual(
        refused.map((text) => /no permission to access (\w+:[\w-]*)/.exec(text)?.[1]),
        ['Group:secured-readers', 'Topic:secured', 'Topic:secured', 'Topic:another'],
      )
    })

    it('a super user does everything, with binary bodies and Unicode in the signed header', async () => {
      const root = connect({ credentials: ROOT })
      const producer = createProducer(root, { producerGroup: 'secured-writers' })
      const topic = 'secured-by-root' // created by the first send
      const body = randomBytes(10_000)
      const single = await producer.send({
        topic,
        body,
        tag: 'größe',
        keys: '键',
        properties: { 'ключ 🚀': 'значение 🚀' },
      })
      await producer.sendBatch(topic, [{ body, properties: { x: 'ü' } }])
      const consumer = createPullConsumer(root, { consumerGroup: 'by-root' })
      const messages = await until('both messages', async () => {
        const all = []
        for (const each of await consumer.queues(topic)) all.push(...(await consumer.pull(each, 0n)).messages)
        return all.length === 2 ? all : undefined
      })
      const found = messages.find((message) => message.messageId === single.messageId)
      deepStrictEqual(
        [found?.tag, found?.keys, found?.properties['ключ 🚀']],
        ['größe', ['键'], 'значение 🚀'],
      )
      ok(messages.every((message) => message.body.equals(body)))
      const own = messages.map((message) => message.queue)
      deepStrictEqual((await consumer.lock(own)).length, own.length)
      await consumer.unlock(own)
      for (const message of messages) await consumer.sendBack(message)
    })

    it('each reason to say no is told apart, and says what to look at', async () => {
      await broker.setUser('retired', { ...userOf('retired', { 'Topic:secured': ['Pub'] }), disabled: true })
      const stranger = { accessKey: 'stranger', secretKey: 'x' }
      const send = (credentials?: Credentials, topic = TOPIC) =>
        producerOf(credentials).send({ topic, body: 'x' })
      const pull = (credentials: Credentials, consumerGroup: string) =>
        createPullConsumer(connect({ credentials }), { consumerGroup }).pull(queue, 0n)
      const attempts = {
        'no credentials': send(),
        'an unknown user': send(stranger),
        'a wrong key': send({ accessKey: 'writer', secretKey: 'wrong' }),
        'the key of another user': send({ accessKey: 'writer', secretKey: 'reader-secret' }),
        'a disabled user': send({ accessKey: 'retired', secretKey: 'retired-secret' }),
        'no grants at all': send(credentialsOf('nobody')),
        'another action': send(credentialsOf('reader')),
        'another topic': send(credentialsOf('writer'), 'secured-ends'),
        'another group': pull(credentialsOf('reader'), 'secured-elsewhere'),
      }
      const tell = async (promise: Promise<unknown>): Promise<string> => {
        const error = await promise.then(
          () => undefined,
          (reason: unknown) => reason,
        )
        ok(error instanceof AuthError, String(error))
        deepStrictEqual([error.responseCode, error.retryable], [16, false])
        return error.message.replace(/^.* with code 16: /, '').replace(/ from [\d.]+/, '')
      }
      const told = await Promise.all(
        Object.entries(attempts).map(async ([what, promise]) => [what, await tell(promise)]),
      )

      const none = (user: string, resource: string): string =>
        `User:${user} has no permission to access ${resource}, no matched policies.; check the grants`
      deepStrictEqual(Object.fromEntries(told), {
        'no credentials': 'username cannot be null.; check the credentials',
        'an unknown user': 'User:stranger is not found.; check the credentials',
        'a wrong key': 'check signature failed.; check the credentials',
        'the key of another user': 'check signature failed.; check the credentials',
        'a disabled user': 'User:retired is disabled.; check the credentials',
        'no grants at all': none('nobody', 'Topic:secured'),
        'another action': none('reader', 'Topic:secured'),
        'another topic': none('writer', 'Topic:secured-ends'),
        'another group': none('reader', 'Group:secured-elsewhere'),
      })
    })

    it('a key that was changed is refused from then on, also on connections that are open', async () => {
      const before = { accessKey: 'rotated', secretKey: 'first-secret' }
      const after = { accessKey: 'rotated', secretKey: 'second-secret' }
      const grants = { 'Topic:secured': ['Pub'] } as const
      await broker.setUser('rotated', { secretKey: before.secretKey, grants })
      const [old, fresh] = [producerOf(before), producerOf(after)]
      const statuses = [(await old.send({ topic: TOPIC, body: 'x' })).status]
      await broker.setUser('rotated', { secretKey: after.secretKey, grants })

      const refused = await until('the change', () =>
        old.send({ topic: TOPIC, body: 'x' }).then(
          () => undefined,
          (error: unknown) => error as Error,
        ),
      )
      statuses.push((await fresh.send({ topic: TOPIC, body: 'x' })).status)

      match(refused.message, /check signature failed/)
      deepStrictEqual(statuses, ['SEND_OK', 'SEND_OK'])
    })

    it('a security token is part of the signature, and changes nothing else', async () => {
      const { status } = await producerOf({ ...credentialsOf('writer'), securityToken: 'tökén' }).send({
        topic: TOPIC,
        body: 'x',
      })
      deepStrictEqual(status, 'SEND_OK')
    })

    it('Pub on the topic is enough to send, in every way, and for nothing else', async () => {
      const producer = producerOf(credentialsOf('writer'))
      deepStrictEqual((await producer.send({ topic: TOPIC, body: 'x' })).status, 'SEND_OK')
      deepStrictEqual(
        (await producer.sendBatch(TOPIC, [{ body: 'x' }])).map((each) => each.outcome),
        ['stored'],
      )
      await producer.sendOneway({ topic: TOPIC, body: 'x' })
      const consumer = consumerOf(credentialsOf('writer'))
      const refused = await Promise.all([
        remark(consumer.pull(queue, 0n)),
        remark(consumer.commitOffset(queue, 0n)),
        remark(consumer.lock([queue])),
      ])
      ok(refused.every((each) => each.includes('no permission')))
    })

    it('Sub on topic and group is enough to consume; the ends of a queue need Get', async () => {
      const consumer = consumerOf(credentialsOf('reader'))
      const { messages } = await consumer.pull(queue, 0n, { maxMessages: 1 })
      const [message] = messages
      ok(message)
      await consumer.commitOffset(queue, 1n)
      deepStrictEqual(await consumer.committedOffset(queue), 1n)
      deepStrictEqual([await consumer.lock([queue]), await consumer.unlock([queue])], [[queue], undefined])
      await consumer.sendBack(message)
      const denied = await Promise.all(
        [consumer.minOffset(queue), consumer.maxOffset(queue), consumer.searchOffset(queue, 0)].map(remark),
      )
      ok(
        denied.every((each) => each.includes('no permission')),
        denied.join('\n'),
      )
    })

    it('Sub on topic and group is enough for a dispatcher: a pull tells it the lag', async () => {
      const client = connect({ credentials: credentialsOf('reader') })
      await createPullConsumer(client, { consumerGroup: DISPATCHED }).commitOffset(queue, 0n)
      const events: { queues: MessageQueue[] }[] = []
      const lambda = {
        async send({ input: { Payload } }: { input: { Payload: Uint8Array } }) {
          events.push(JSON.parse(Buffer.from(Payload).toString()))
        },
      }
      const eventSources = { secured: { topic: TOPIC, consumerGroup: DISPATCHED } }
      const tick = dispatcher({ eventSources, functionName: 'worker', client, lambda })

      const { secured } = (await tick(scheduledEvent(), lambdaContext({ remainingMs: 30_000 }))).eventSources

      ok(secured && secured.lag >= 1, JSON.stringify(secured))
      deepStrictEqual([secured.workers, secured.errors], [1, undefined])
      ok(events[0]?.queues.some(({ topic }) => topic === TOPIC))
    })

    it('Get on topic and group opens the ends of queues and the statistics', async () => {
      const credentials = credentialsOf('measurer')
      const consumer = consumerOf(credentials)
      deepStrictEqual(await consumer.minOffset(queue), 0n)
      ok((await consumer.maxOffset(queue)) >= 1n)
      ok((await consumer.searchOffset(queue, 0)) >= 0n)
      const client = connect({ credentials })
      const { address } = broker
      const limits = { deadline: client.deadline({}) }
      const topicStats = await client.network.call(
        address,
        GetTopicStatsInfo,
        { topic: TOPIC },
        undefined,
        limits,
      )
      const groupStats = await client.network.call(
        address,
        GetConsumeStats,
        { consumerGroup: GROUP, topic: TOPIC },
        undefined,
        limits,
      )
      deepStrictEqual([topicStats.body.offsetTable.length, groupStats.body.offsetTable.length], [1, 1])
      const reader = connect({ credentials: credentialsOf('reader') })
      const denied = await Promise.all([
        remark(reader.network.call(address, GetTopicStatsInfo, { topic: TOPIC }, undefined, limits)),
        remark(
          reader.network.call(
            address,
            GetConsumeStats,
            { consumerGroup: GROUP, topic: TOPIC },
            undefined,
            limits,
          ),
        ),
        remark(
          reader.network.call(
            address,
            UpdateAndCreateTopic,
            { topic: TOPIC, readQueueNums: 1, writeQueueNums: 1 },
            undefined,
            limits,
          ),
        ),
      ])
      ok(
        denied.every((each) => each.includes('no permission')),
        denied.join('\n'),
      )
    })

    it('Pub is enough to begin and end a transaction; who may read what brokers note of ends knows of earlier ones', async (t) => {
      const warn = t.mock.method(console, 'warn', () => {})
      const topic = 'secured-ends'
      const ended = async (user: keyof typeof USERS, outcome: 'commit' | 'rollback') => {
        const client = connect({ credentials: credentialsOf(user) })
        const transactions = createTransactionProducer(client, { producerGroup: 'secured-writers' })
        const transaction = await transactions.begin({ topic, body: 'order' })
        const end = transactionEnder({ topics: [topic], producerGroup: 'secured-writers', client })
        const answer = await end({ transaction, outcome }, lambdaContext({ remainingMs: 20_000 }))
        return { checked: (answer as TransactionEnded).checked, client, transaction }
      }

      const simple = await ended('simple-ender', 'commit')
      const committed = await ended('ender', 'commit')
      const rolledBack = await ended('ender', 'rollback')
      const known = await Promise.all(
        [committed, rolledBack].map(({ client, transaction }) =>
          until('the end to be known', () => findEnd(client, transaction, client.deadline())),
        ),
      )

      deepStrictEqual(
        [simple.checked, committed.checked, rolledBack.checked, known],
        [false, true, true, ['committed', 'rolledBack']],
      )
      deepStrictEqual(warn.mock.callCount(), 1)
    })

    it('credentials that were rotated are asked for again, once', async () => {
      let asked = 0
      const rotating = async (): Promise<Credentials> =>
        asked++ === 0 ? { accessKey: 'writer', secretKey: 'old' } : credentialsOf('writer')
      deepStrictEqual((await producerOf(rotating).send({ topic: TOPIC, body: 'x' })).status, 'SEND_OK')
      deepStrictEqual(asked, 2)
    })

    more(connect)
  })
}
