/**
 * What brokers before 5.5.0 lack, or do otherwise: everything that is known of it stands here, by version, and for users in
 * docs/brokers.md. A case that such a broker cannot pass is not left out: what a user gets there is asserted in its place.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { findEnd } from '../../src/client/ended.ts'
import { InvokeBrokerToResetOffset } from '../../src/commands/consumer-requests.ts'
import { DeleteSubscriptionGroup, GetSubscriptionGroupConfig } from '../../src/commands/groups.ts'
import { QueryConsumerOffset, UpdateConsumerOffset } from '../../src/commands/offsets.ts'
import { PullMessage } from '../../src/commands/pull.ts'
import { GetRouteInfoByTopic } from '../../src/commands/route.ts'
import { SendBatchMessage, SendMessage, SendMessageV2 } from '../../src/commands/send.ts'
import { ConsumerSendMsgBack } from '../../src/commands/send-back.ts'
import { GetAllTopicConfig, GetTopicConfig } from '../../src/commands/topics.ts'
import { EndTransaction } from '../../src/commands/transaction.ts'
import {
  createGroupAdmin,
  createOffsetAdmin,
  createPopConsumer,
  createProducer,
  createRegistration,
  createTopicAdmin,
  createTransactionProducer,
  type Message,
  RocketMQError,
  retryTopic,
} from '../../src/index.ts'
import { encodeBatch } from '../../src/wire/batch.ts'
import { formatRecallHandle } from '../../src/wire/recall-handle.ts'
import { popConsumer } from './cases/pop-consumer.ts'
import { popOrders } from './cases/pop-orders.ts'
import { popReceipts } from './cases/pop-receipts.ts'
import { popWaits } from './cases/pop-waits.ts'
import { pops } from './cases/pops.ts'
import { pullOf } from './cases/pulls.ts'
import { plainSend } from './cases/requests.ts'
import { type Cases, type Context, type Facts, failure, until } from './context.ts'
import { beginHalf, sendHalf } from './halves.ts'
import { frameOf, openRaw } from './raw.ts'

/** Versions compare as text as long as no part has two digits. */
const isBefore = (version: string, other: string): boolean => version < other

/** What cases expect that hold on every version but for a detail. */
export const factsOf = (version: string): Facts => ({
  versionName: `V${version.replaceAll('.', '_')}`,
  unsetOffset: isBefore(version, '5.0.0') ? 0n : undefined,
  wrongQueue: isBefore(version, '5.3.3')
    ? { responseCode: 1, outcome: 'unknown' }
    : { responseCode: 29, outcome: 'refused' },
  originGroup: !isBefore(version, '5.5.0'),
  popBounds: !isBefore(version, '5.3.3'),
  suspendIsNoAttempt: !isBefore(version, '5.5.0'),
  halfPlace: isBefore(version, '5.5.0'),
  transactionId: !isBefore(version, '5.0.0'),
  checkBroker: !isBefore(version, '5.0.0'),
  checkTopic: !isBefore(version, '5.3.3'),
  heartbeatV2: !isBefore(version, '5.0.0'),
})

interface Older {
  /** The first version, of those that are tested, that passes the cases. */
  before: string
  what: string
  /** The first cells of its rows in docs/brokers.md. */
  rows: readonly string[]
  /** Name of a case → what is so in its place. */
  cases: Cases
}

/** How a call failed, and the text of it. */
async function told(
  promise: Promise<unknown>,
): Promise<{ name: string; responseCode?: number; text: string }> {
  try {
    await promise
  } catch (error) {
    if (!RocketMQError.is(error)) throw error
    const { name, responseCode, message: text } = error
    return { name, ...(responseCode === undefined ? {} : { responseCode }), text }
  }
  throw new Error('the call was expected to fail, and did not')
}

/** The request does not exist there; the error says so, names the version and where to read on. */
async function isUnknown(promise: Promise<unknown>): Promise<void> {
  const { name, responseCode, text } = await told(promise)
  deepStrictEqual([name, responseCode], ['BrokerError', 3])
  match(text, /not supported; RocketMQ \d\.\d\.\d lacks it \(docs\/brokers\.md\)$/)
}

/** The same for each of some cases. */
const forAll = (cases: readonly string[], instead: Cases[string]): Cases =>
  Object.fromEntries(cases.map((name) => [name, instead]))

const messageOf = async (c: Context): Promise<Message> => {
  const topic = await c.topic()
  await c.producer.send({ topic, body: 'x' })
  const [message] = await c.read(topic, 1)
  ok(message)
  return message
}

const OLDER: readonly Older[] = [
  {
    before: '5.0.0',
    what: 'pops',
    rows: ["pops: `createPopConsumer`, `mode: 'pop'`"],
    cases: forAll(
      [
        ...[pops, popConsumer, popReceipts, popOrders, popWaits].flatMap((cases) => Object.keys(cases)),
        'a restart keeps what is popped hidden, and its receipts',
      ],
      async (c) => {
        const topic = await c.topic()
        await isUnknown(createPopConsumer(c.client, { consumerGroup: c.name('pop') }).pop(topic))
      },
    ),
  },
  {
    before: '5.0.0',
    what: 'timer messages: they would be delivered at once, so the client does not send them',
    rows: ['timers: `delayMs`, `deliverAt`'],
    cases: forAll(
      [
        'a timer message comes at its time, by delay and by point in time',
        'a timer message whose time has passed comes at once',
        'a timer message further than three days away is refused',
        'a recalled timer message never comes',
      ],
      async (c) => {
        const topic = await c.topic()
        for (const [field, delay] of [
          ['delayMs', { delayMs: 1_200 }],
          ['deliverAt', { deliverAt: new Date(Date.now() + 6_000) }],
        ] as const) {
          const message = { topic, body: 'x', ...delay }
          // One that has not heard of the broker before.
          const other = createProducer(c.connect(), { producerGroup: 'conformance' })
          for (const call of [
            () => c.producer.send(message),
            () => other.send(message),
            () => other.sendOneway(message),
          ]) {
            const { name, text } = await told(call())
            deepStrictEqual(name, 'ConfigError')
            match(text, new RegExp(`^${field}: RocketMQ 4\\.9\\.7 delivers at once: use delayLevel`))
          }
        }
        await c.producer.send({ topic, body: 'level', delayLevel: 1 })
        deepStrictEqual(
          (await c.read(topic, 1)).map(({ body }) => body.toString()),
          ['level'],
        )
      },
    ),
  },
  {
    before: '5.3.3',
    what: 'recall: timer messages come without a handle, and cannot be taken back',
    rows: ['recall'],
    cases: {
      ...forAll(
        [
          'a timer message comes at its time, by delay and by point in time',
          'a recalled timer message never comes',
        ],
        async (c) => {
          const topic = await c.topic()
          const { recallHandle, messageId } = await c.producer.send({ topic, body: 'x', delayMs: 1_200 })
          const [message] = await c.read(topic, 1)
          deepStrictEqual([recallHandle, message?.messageId], [undefined, messageId])
          ok(message && message.storeTimestamp - message.bornTimestamp >= 200)
        },
      ),
      'a message whose time has come cannot be recalled': async (c) => {
        const topic = await c.topic()
        const handle = formatRecallHandle({
          topic,
          brokerName: c.brokerName,
          deliverTimeMs: BigInt(Date.now() + 5_000),
          messageId: 'U',
        })
        await isUnknown(c.producer.recall(topic, handle))
      },
    },
  },
  {
    before: '5.0.0',
    what: 'the request for one topic, attributes and order: administrators read the table of all topics',
    rows: ['attributes of topics (`message.type`), and their `order`', 'settings of one topic (351)'],
    cases: {
      'the settings of a topic are what they were set to': async (c) =>
        await isUnknown(c.call(GetTopicConfig, { topic: await c.topic() }, undefined)),
      'the settings of all topics hold those of each': async (c) => {
        const topic = await c.topic({ readQueueNums: 3, writeQueueNums: 2, order: true })
        const { body } = await c.call(GetAllTopicConfig, {}, undefined)
        const { readQueueNums, writeQueueNums, order, attributes } = body.topicConfigTable[topic] ?? {}
        deepStrictEqual([readQueueNums, writeQueueNums, order, { ...attributes }], [3, 2, false, {}])
      },
      'a topic is created once, changed, described and deleted': async (c) => {
        const topics = createTopicAdmin(c.client)
        const topic = c.name('topic')
        const place = { brokerName: c.brokerName, cluster: c.clusterName, address: c.master }
        const rest = { attributes: {}, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false }
        const made = { ...place, readQueueNums: 4, writeQueueNums: 4, perm: 6, ...rest }
        deepStrictEqual(await topics.create(topic, { readQueueNums: 4 }), [made])
        await until('the route', () =>
          topics.route(topic).then(
            () => true,
            () => undefined,
          ),
        )
        deepStrictEqual(await topics.create(topic, { readQueueNums: 4 }), [made])
        deepStrictEqual((await failure(topics.create(topic, { readQueueNums: 2 }))).field, 'topic')
        const changed = { ...made, readQueueNums: 6, perm: 4 }
        deepStrictEqual(await topics.update(topic, { readQueueNums: 6, perm: 4 }), [changed])
        deepStrictEqual(await topics.describe(topic), [changed])
        deepStrictEqual((await topics.delete(topic)).brokers, [place])
        deepStrictEqual((await failure(topics.describe(topic))).responseCode, 17)
      },
    },
  },
  {
    before: '5.0.0',
    what: 'the request for one group: administrators read the table of all',
    rows: ['settings of one group (352)'],
    cases: forAll(
      [
        'a group is created, changed, read and deleted',
        'a group that is deleted without its offsets is there again, with the default settings',
        'asking for the settings of an unknown group creates it',
      ],
      async (c) => {
        const group = await c.group({ retryMaxTimes: 3 })
        await isUnknown(c.call(GetSubscriptionGroupConfig, { group }, undefined))
        const [described] = await createGroupAdmin(c.client).describe(group)
        deepStrictEqual(described?.config.retryMaxTimes, 3)
      },
    ),
  },
  {
    before: '5.3.3',
    what: 'groups that are made by asking for them: code 1 answers for one that is not there',
    rows: ['groups that are made by asking for them'],
    cases: {
      ...forAll(
        [
          'a group that is deleted without its offsets is there again, with the default settings',
          'asking for the settings of an unknown group creates it',
        ],
        async (c) => {
          const asked = c.call(GetSubscriptionGroupConfig, { group: c.name('asked') }, undefined)
          deepStrictEqual(await failure(asked), { error: 'BrokerError', responseCode: 1 })
        },
      ),
      'a group is created, changed, read and deleted': async (c) => {
        const groupName = await c.group({ retryMaxTimes: 3 })
        const { body } = await c.call(GetSubscriptionGroupConfig, { group: groupName }, undefined)
        deepStrictEqual(body.retryMaxTimes, 3)
        for (let round = 0; round < 2; round++)
          await c.call(DeleteSubscriptionGroup, { groupName, cleanOffset: true }, undefined)
        deepStrictEqual((await failure(createGroupAdmin(c.client).describe(groupName))).responseCode, 26)
      },
    },
  },
  {
    before: '5.5.0',
    what: 'the way back of a deleted group with its first commit',
    rows: ['a deleted group that comes back with a commit'],
    cases: {
      'a group that is deleted without its offsets is there again, with the default settings': async (c) => {
        const group = await c.group({ retryMaxTimes: 3 })
        await c.call(DeleteSubscriptionGroup, { groupName: group }, undefined)
        const commit = c.consumer({ consumerGroup: group }).commitOffset(c.queue(await c.topic()), 1n)
        deepStrictEqual((await failure(commit)).responseCode, 26)
      },
    },
  },
  {
    before: '5.0.0',
    what: 'the difference between no offset and 0, as long as the first message is in memory',
    rows: ['"no offset" told from offset 0'],
    cases: {
      'setZeroIfNotFound hides that nothing was committed, once the queue has a message': async (c) => {
        const message = await messageOf(c)
        const request = { consumerGroup: await c.group(), topic: message.topic, queueId: 0 }
        for (const setZeroIfNotFound of [false, true]) {
          const { code, header } = await c.call(
            QueryConsumerOffset,
            { ...request, setZeroIfNotFound },
            undefined,
          )
          deepStrictEqual([code, header.offset], [0, 0n])
        }
      },
      'a commit for an unknown topic answers 17': async (c) => {
        const request = {
          consumerGroup: await c.group(),
          topic: c.name('nowhere'),
          queueId: 0,
          commitOffset: 1n,
        }
        deepStrictEqual((await c.call(UpdateConsumerOffset, request, undefined)).code, 0)
      },
    },
  },
  {
    before: '5.3.3',
    what: 'the check that a group exists before it commits',
    rows: ['a check that the group of a commit exists'],
    cases: {
      'an unknown group cannot commit; after its first pull it can': async (c) => {
        const consumer = c.consumer({ consumerGroup: c.name('unknown') })
        const queue = c.queue(await c.topic())
        await consumer.commitOffset(queue, 1n)
        deepStrictEqual(await consumer.committedOffset(queue), 1n)
      },
    },
  },
  {
    before: '5.3.3',
    what: 'resets by the broker (useServerSideResetOffset): the client commits in their place, and refuses while members are online',
    rows: ['resets that hold'],
    cases: {
      ...forAll(
        [
          'after a reset commits are ignored until the group has pulled the new offset',
          'a reset by time sets every queue, and an unknown group cannot be reset',
          'a reset to an offset that the queue does not have is refused, however large',
        ],
        async (c) => {
          const { topic, queue } = await messageOf(c)
          const group = await c.group()
          const ask = () =>
            c.call(
              InvokeBrokerToResetOffset,
              { topic, group, queueId: 0, offset: 0n, timestamp: -1n },
              undefined,
            )
          // Before its first commit the group counts as one that is not there.
          const before = (await failure(ask())).responseCode
          await c.consumer({ consumerGroup: group }).commitOffset(queue, 1n)
          deepStrictEqual([before, (await failure(ask())).responseCode], [1, 206])
        },
      ),
      'a reset is stored also while members are online': async (c) => {
        const offsets = createOffsetAdmin(c.client)
        const { topic, queue } = await messageOf(c)
        const consumerGroup = await c.group()
        const registration = createRegistration(c.connect(), { consumers: [{ consumerGroup }] })
        await registration.heartbeat()
        const plan = await offsets.plan({ consumerGroup, topic, to: 'latest' })
        const refused = await failure(offsets.reset(plan))
        await registration.unregister()
        deepStrictEqual(
          [refused, await offsets.committed(consumerGroup, queue)],
          [{ error: 'ConfigError', outcome: 'not-sent', field: 'plan' }, undefined],
        )
      },
      'a reset does what its plan shows, for a topic, a queue and a group': async (c) => {
        const offsets = createOffsetAdmin(c.client)
        const { topic, queue } = await messageOf(c)
        const consumerGroup = await c.group()
        const consumer = c.consumer({ consumerGroup })
        const plan = await offsets.plan({ consumerGroup, topic, to: 'latest' })
        deepStrictEqual(
          plan.queues.map(({ from, to }) => [from, to]),
          [[undefined, 1n]],
        )
        await offsets.reset(plan)
        deepStrictEqual(await consumer.committedOffset(queue), 1n)
        // Nothing holds the group to it.
        await consumer.commitOffset(queue, 0n)
        deepStrictEqual(await consumer.committedOffset(queue), 0n)
      },
    },
  },
  {
    before: '5.0.0',
    what: 'searches by time with a boundary: they give the last message at or before it, or the first',
    rows: ['search by time with a boundary'],
    cases: {
      ...forAll(
        [
          'a search by time finds the first message at or after it, or the last at or before',
          'a search by the last of all times gives the end, by the first the beginning',
          'offsets are read of queues that exist only',
        ],
        async (c) => {
          const offsets = createOffsetAdmin(c.client)
          const topic = await c.topic()
          const queue = c.queue(topic)
          for (let n = 0; n < 2; n++) {
            await c.producer.send({ topic, body: String(n) })
            const stored = Date.now()
            await until('the clock', () => Date.now() > stored + 3)
          }
          const [first, second] = await c.read(topic, 2)
          ok(first && second)
          const found = (boundary: 'lower' | 'upper') =>
            Promise.all(
              [
                first.storeTimestamp - 1_000,
                first.storeTimestamp + 1,
                second.storeTimestamp,
                second.storeTimestamp + 60_000,
              ].map((time) => offsets.search(queue, time, { boundary })),
            )
          const expected = [0n, 0n, 1n, 1n]
          deepStrictEqual([await found('lower'), await found('upper')], [expected, expected])
          deepStrictEqual((await failure(offsets.max({ ...queue, queueId: 1 }))).field, 'queue.queueId')
        },
      ),
    },
  },
  {
    before: '5.0.0',
    what: 'checks of what is sent: empty bodies and batches to retry topics are stored, dead letters need no topic',
    rows: ['checks of what is sent', 'ids from the broker (`UNIQ_KEY`)'],
    cases: {
      'an empty body: the broker fails with code 1': async (c) => {
        const topic = await c.topic()
        for (const command of [SendMessage, SendMessageV2])
          await c.call(command, plainSend(topic), Buffer.alloc(0))
        deepStrictEqual((await c.read(topic, 2)).length, 2)
        deepStrictEqual((await failure(c.producer.send({ topic, body: '' }))).field, 'body')
      },
      'a batch to a retry topic: the broker answers 13': async (c) => {
        const batch = encodeBatch([{ body: Buffer.from('x'), properties: '', flag: 0 }])
        const send = plainSend(retryTopic(await c.group()), { batch: true })
        deepStrictEqual((await c.call(SendBatchMessage, send, batch)).code, 0)
      },
      'a dead letter without originTopic fails with code 1: the client always names it': async (c) => {
        const { commitLogOffset: offset } = await messageOf(c)
        const { originTopic: _originTopic, ...request } = ConsumerSendMsgBack.request
        const command = { ...ConsumerSendMsgBack, request } as typeof ConsumerSendMsgBack
        const header = { offset, group: await c.group(), delayLevel: -1, originTopic: '' }
        deepStrictEqual((await c.call(command, header, undefined)).code, 0)
      },
      'with a lock held a send to the retry topic becomes a dead letter, a send-back does not': async (c) => {
        const group = await c.group()
        const consumer = c.consumer({ consumerGroup: group })
        const message = await messageOf(c)
        await consumer.sendBack(message, { delayLevel: 1 })
        await c.read(retryTopic(group), 1)
        await consumer.lock([message.queue])
        const send = plainSend(retryTopic(group), { reconsumeTimes: 1, maxReconsumeTimes: 16 })
        await c.call(SendMessageV2, send, Buffer.from('x'))
        deepStrictEqual((await c.read(retryTopic(group), 2)).length, 2)
      },
      'a message without UNIQ_KEY gets one from the broker, but not in a batch': async (c) => {
        const topic = await c.topic()
        const { header } = await c.call(SendMessageV2, plainSend(topic), Buffer.from('x'))
        const [message] = await c.read(topic, 1)
        deepStrictEqual([header.transactionId, message?.messageId], [undefined, header.msgId])
      },
      'a stored message says that its producer waited for it': async (c) => {
        const { systemProperties } = await messageOf(c)
        deepStrictEqual(systemProperties['WAIT'], undefined)
      },
    },
  },
  {
    before: '5.0.0',
    what: 'answers of name servers to requests that they do not know',
    rows: ['an answer of the name server to a request that it does not know'],
    cases: {
      'a request code that does not exist answers 3, on broker and name server': async (c) => {
        const [broker, nameServer] = await Promise.all(
          [c.master, ...c.client.nameServers.addresses].map(openRaw),
        )
        ok(broker && nameServer)
        deepStrictEqual((await broker.ask({ code: 31_999 })).code, 3)
        const silence = nameServer.ask({ code: 31_999 }).then(
          () => 'an answer',
          () => 'silence',
        )
        await nameServer.ask(frameOf(GetRouteInfoByTopic, { topic: 'TBW102' })) // answered behind it
        for (const raw of [broker, nameServer]) raw.close()
        deepStrictEqual(await silence, 'silence')
      },
    },
  },
  {
    before: '5.5.0',
    what: 'the limit of group names',
    rows: ['the limit of group names'],
    cases: {
      'a group name above 120 characters: the broker creates no such group': async (c) => {
        const topic = await c.topic()
        const pull = pullOf(topic, c.name('long').padEnd(121, 'x'))
        deepStrictEqual((await c.call(PullMessage, pull, undefined)).code, 19)
      },
    },
  },
  {
    before: '5.0.0',
    what: 'part of transactions: ids in answers and checks, late ends refused, and the list of ends cannot be read',
    rows: ['the list of ended transactions', 'late ends refused (code 604)'],
    cases: {
      'a send of a half message is answered with its place in the half queue': async (c) => {
        const { answer } = await sendHalf(c, await c.topic(), c.name('p'))
        deepStrictEqual(
          [answer.code, answer.header.queueId, answer.header.transactionId, answer.header.msgId.length],
          [0, 0, undefined, 32],
        )
      },
      'an end after CHECK_IMMUNITY_TIME_IN_SECONDS is refused with code 604, unless it answers a check':
        async (c) => {
          const topic = await c.topic()
          const properties = { CHECK_IMMUNITY_TIME_IN_SECONDS: '1' }
          const half = await beginHalf(c, topic, c.name('p'), { properties })
          const begun = Date.now()
          await until('the time to be over', () => Date.now() > begun + 1_500)
          await c.call(EndTransaction, half, undefined)
          deepStrictEqual((await c.read(topic, 1)).length, 1)
        },
      ...forAll(
        [
          'a rollback is found in the list of ends',
          'the list of ends has the offsets of half messages, each with a comma behind it, under the tag d',
          'an end is noted up to 3 s later: a check may follow one that was answered',
          'the answer to a check, which is about a copy, ends the transaction',
        ],
        async (c) => {
          const transactions = createTransactionProducer(c.client, { producerGroup: c.name('shop') })
          const topic = await c.topic()
          const transaction = await transactions.begin({ topic, body: 'order' })
          await transactions.end(transaction, 'rollback')
          const list = pullOf('RMQ_SYS_TRANS_OP_HALF_TOPIC', 'TOOLS_CONSUMER')
          deepStrictEqual((await failure(c.call(PullMessage, list, undefined))).responseCode, 17)
          deepStrictEqual(await findEnd(c.client, transaction, c.client.deadline()), undefined)
        },
      ),
    },
  },
]

export interface Instead {
  what: string
  run: Cases[string]
}

/** Name of a case → what is so in its place on this version. The first entry of the table counts. */
export function olderOn(version: string): Record<string, Instead> {
  const instead: Record<string, Instead> = {}
  for (const { before, what, cases } of OLDER)
    if (isBefore(version, before))
      for (const [name, run] of Object.entries(cases)) instead[name] ??= { what, run }
  return instead
}

/** What docs/brokers.md has to say: row → the versions that lack it, where nothing else of the table stands in its place. */
export function lackedRows(versions: readonly string[]): Record<string, string[]> {
  const lacked: Record<string, string[]> = {}
  for (const { what, rows } of OLDER)
    for (const row of rows)
      lacked[row] = versions.filter((version) =>
        Object.values(olderOn(version)).some((instead) => instead.what === what),
      )
  return lacked
}

/** Commands of the catalogue that have no answer on this version. */
export const unansweredOn = (version: string): number[] => [
  ...(isBefore(version, '5.0.0') ? [200050, 200051, 200053, 200151, 351, 352] : []),
  ...(isBefore(version, '5.3.3') ? [222, 370] : []),
]
