/**
 * Registered clients: 34, 35, 38, 203, 204, and what is passed on to them, 307 and 309 (upstream ClientManageProcessor,
 * ConsumerManageProcessor, AdminBrokerProcessor.callConsumer).
 */
import { ConsumeMessageDirectly, GetConsumerRunningInfo } from '../../../commands/consumer-requests.ts'
import { GetConsumerListByGroup, HeartBeat, UnregisterClient } from '../../../commands/heartbeat.ts'
import { CONSUME_MSG_TIMEOUT, CONSUMER_NOT_ONLINE, SYSTEM_ERROR } from '../../../commands/response-codes.ts'
import { decodeOffsetMessageId } from '../../../wire/message-id.ts'
import { retryTopic } from '../../../wire/names.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { Member } from '../members.ts'
import type { BrokerNode } from '../node.ts'
import { GetConsumerConnectionList, GetProducerConnectionList } from './more-commands.ts'

type ClientCall = Call<BrokerNode>

/** How long a client has for its answer. */
const ASK_TIMEOUT_MS = 10_000

export const clientHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(HeartBeat, ({ server, connection, frame }: ClientCall, _header, data) => {
    for (const { groupName } of data.consumerDataSet) {
      const group = server.groupFor(groupName)
      if (group) server.topics.ensure(retryTopic(groupName), group.retryQueueNums)
    }
    server.members.heartbeat(
      connection,
      data,
      frame,
      (group) => server.groups.get(group)?.notifyConsumerIdsChangedEnable ?? true,
    )
    return { header: { IS_SUPPORT_HEART_BEAT_V2: true, IS_SUB_CHANGE: true } }
  }),

  handle(UnregisterClient, ({ server, connection }: ClientCall, { producerGroup, consumerGroup }) => {
    server.members.unregister(connection, producerGroup, consumerGroup)
    return {}
  }),

  handle(GetConsumerListByGroup, ({ server }: ClientCall, { consumerGroup }) => {
    const group = server.members.consumers.get(consumerGroup)
    if (!group) throw new Refusal(SYSTEM_ERROR, `no consumer for this group, ${consumerGroup}`)
    return { body: { consumerIdList: [...group.members.values()].map(({ clientId }) => clientId) } }
  }),

  handle(GetConsumerConnectionList, ({ server }: ClientCall, { consumerGroup }) => {
    const group = server.members.consumers.get(consumerGroup)
    if (!group) throw new Refusal(CONSUMER_NOT_ONLINE, `the consumer group[${consumerGroup}] not online`)
    const { consumeType, messageModel, consumeFromWhere } = group
    return {
      body: {
        connectionSet: [...group.members].map(([{ remote }, member]) => describe(remote, member)),
        subscriptionTable: Object.fromEntries(group.subscriptions),
        consumeType,
        messageModel,
        consumeFromWhere,
      },
    }
  }),

  handle(GetProducerConnectionList, ({ server }: ClientCall, { producerGroup }) => {
    const members = server.members.producers.get(producerGroup)
    if (!members) throw new Refusal(SYSTEM_ERROR, `the producer group[${producerGroup}] not exist`)
    return { body: { connectionSet: [...members].map(([{ remote }, member]) => describe(remote, member)) } }
  }),

  handle(GetConsumerRunningInfo, (call: ClientCall, { consumerGroup, clientId }) =>
    passOn(call, consumerGroup, clientId, call.frame.body),
  ),

  handle(ConsumeMessageDirectly, (call: ClientCall, { consumerGroup, clientId, msgId }) => {
    const { server } = call
    const stored = msgId
      ? server.store.record(Number(decodeOffsetMessageId(msgId).commitLogOffset))
      : undefined
    return passOn(call, consumerGroup, clientId, stored ?? call.frame.body, { brokerName: server.brokerName })
  }),
]

function describe(clientAddr: string, { clientId, language, version }: Member): object {
  return { clientId, clientAddr, language, version }
}

/** Asks the client, and gives its answer to who asked. */
function passOn(
  call: ClientCall,
  group: string,
  clientId: string | undefined,
  body: Buffer,
  more: Readonly<Record<string, string>> = {},
): undefined {
  const { server, frame } = call
  const client = server.members.find(group, clientId)
  if (!client) throw new Refusal(SYSTEM_ERROR, `The Consumer <${group}> <${clientId}> not online`)
  const asked = client.ask({ code: frame.code, ext: { ...frame.ext, ...more }, body })
  const cancel = server.clock.at(server.clock.now() + ASK_TIMEOUT_MS, () => asked.giveUp())
  void asked.answer.then((given) => {
    cancel()
    if (given)
      return call.answer({ code: given.code, remark: given.remark, ext: given.ext, body: given.body })
    call.answer({ code: CONSUME_MSG_TIMEOUT, remark: `consumer <${group}> <${clientId}> Timeout` })
  })
}
