/** Heartbeats, members of groups, and what brokers ask of registered clients (protocol.md 13). */
import { deepStrictEqual, ok } from 'node:assert/strict'
import {
  ConsumeMessageDirectly,
  GetConsumerRunningInfo,
  ResetConsumerClientOffset,
} from '../../../src/commands/consumer-requests.ts'
import { decodeFields } from '../../../src/commands/define.ts'
import {
  GetConsumerListByGroup,
  HeartBeat,
  type HeartbeatData,
  NotifyConsumerIdsChanged,
  UnregisterClient,
} from '../../../src/commands/heartbeat.ts'
import { ViewMessageById } from '../../../src/commands/messages.ts'
import { CheckTransactionState } from '../../../src/commands/transaction.ts'
import { decodeOffsetMessageId } from '../../../src/wire/message-id.ts'
import { type Cases, failure, until } from '../context.ts'
import { openRaw } from '../raw.ts'

function asConsumer(clientID: string, groupName: string, topic: string): HeartbeatData {
  return {
    clientID,
    producerDataSet: [],
    consumerDataSet: [
      {
        groupName,
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
        subscriptionDataSet: [
          {
            topic,
            subString: '*',
            expressionType: 'TAG',
            tagsSet: [],
            codeSet: [],
            subVersion: BigInt(Date.now()),
            classFilterMode: false,
          },
        ],
        unitMode: false,
      },
    ],
  }
}

export const registration: Cases = {
  'a heartbeat makes a client a member of its group, until it leaves or its connection closes': async (c) => {
    const topic = await c.topic()
    const consumerGroup = c.name('members')
    const members = async () =>
      (await c.call(GetConsumerListByGroup, { consumerGroup }, undefined)).body.consumerIdList.toSorted()
    deepStrictEqual(await failure(members()), { error: 'BrokerError', responseCode: 1 })

    const [one, two] = [c.connect(), c.connect()]
    const { header } = await c.call(HeartBeat, {}, asConsumer('one', consumerGroup, topic), one)
    const told = c.facts.heartbeatV2 ? { IS_SUPPORT_HEART_BEAT_V2: true, IS_SUB_CHANGE: true } : {}
    deepStrictEqual(header, told)
    await c.call(HeartBeat, {}, asConsumer('two', consumerGroup, topic), two)
    deepStrictEqual(await members(), ['one', 'two'])

    // The first member is told that the second has come.
    const frame = await until('the notification', () =>
      c.recording.serverRequests.find(
        (each) => each.code === 40 && each.ext['consumerGroup'] === consumerGroup,
      ),
    )
    deepStrictEqual(decodeFields('', NotifyConsumerIdsChanged.request, frame.ext), { consumerGroup })

    await c.call(UnregisterClient, { clientID: 'one', consumerGroup }, undefined, one)
    deepStrictEqual(await members(), ['two'])
    await two.close()
    deepStrictEqual(
      await until('the member to be gone', () =>
        members().then(
          () => undefined,
          () => 'gone',
        ),
      ),
      'gone',
    )
    // A consumer's heartbeat creates its retry topic.
    deepStrictEqual(await c.consumer().queues(`%RETRY%${consumerGroup}`), [
      c.queue(`%RETRY%${consumerGroup}`),
    ])
  },

  'a heartbeat may write tag codes as text, as the Go client does': async (c) => {
    const topic = await c.topic()
    const consumerGroup = c.name('text')
    const raw = await openRaw(c.master)
    const heartbeat = JSON.stringify(asConsumer('text', consumerGroup, topic), (name, value: unknown) =>
      name === 'codeSet' ? ['3304'] : typeof value === 'bigint' ? Number(value) : value,
    )
    const { code } = await raw.ask({ code: HeartBeat.code, body: Buffer.from(heartbeat) })
    const { body } = await c.call(GetConsumerListByGroup, { consumerGroup }, undefined)
    deepStrictEqual([code, body.consumerIdList], [0, ['text']])
    raw.close()
  },

  'a client that does nothing says at once that it has no running info, and handles no message': async (
    c,
  ) => {
    const topic = await c.topic()
    const consumerGroup = c.name('idle')
    const idle = c.connect()
    const idleId = c.name('idle')
    await c.call(HeartBeat, {}, asConsumer(idleId, consumerGroup, topic), idle)
    const toIdle = { consumerGroup, clientId: idleId }
    const { offsetMessageId } = await c.producer.send({ topic, body: 'x' })
    const { commitLogOffset } = decodeOffsetMessageId(offsetMessageId)
    const { body } = await c.call(ViewMessageById, { topic, offset: commitLogOffset }, undefined)
    const directly = { ...toIdle, topic, brokerName: c.brokerName, msgId: offsetMessageId }
    deepStrictEqual(
      [
        await failure(c.call(GetConsumerRunningInfo, toIdle, undefined)),
        await failure(c.call(ConsumeMessageDirectly, directly, body)),
      ],
      [
        { error: 'BrokerError', responseCode: 3 },
        { error: 'BrokerError', responseCode: 3, outcome: 'refused' },
      ],
    )
    const asked = c.recording.serverRequests.filter((each) => each.ext['clientId'] === idleId)
    deepStrictEqual(
      asked.map((each) => each.code),
      [307, 309],
    )
  },

  'a client that is not there cannot be asked': async (c) => {
    const offline = { consumerGroup: await c.group(), clientId: 'nobody' }
    const { error, responseCode } = await failure(c.call(GetConsumerRunningInfo, offline, undefined))
    deepStrictEqual(error, 'BrokerError')
    ok(responseCode === 1 || responseCode === 206)
  },

  'requests that only brokers send are refused by them with code 3': async (c) => {
    const asked = (
      command:
        | typeof CheckTransactionState
        | typeof ResetConsumerClientOffset
        | typeof NotifyConsumerIdsChanged,
    ) =>
      c.call(
        {
          ...command,
          oneway: false,
          request: {},
          defaults: {},
          requestBody: { encode: () => undefined, decode: () => undefined },
        } as never,
        {},
        undefined,
      )
    deepStrictEqual(
      await Promise.all(
        [CheckTransactionState, ResetConsumerClientOffset, NotifyConsumerIdsChanged].map(
          async (each) => (await failure(asked(each))).responseCode,
        ),
      ),
      [3, 3, 3],
    )
  },
}
