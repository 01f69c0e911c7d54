/** What tools and other clients ask of a broker, and this project's client does not: not in the catalogue. */
import {
  type BodyCodec,
  bytesBody,
  type Command,
  defineCommand,
  type NoFields,
} from '../../../commands/define.ts'
import { jsonBody } from '../../../commands/json.ts'
import { PopMessage, type PopMessageResponse } from '../../../commands/pop.ts'
import type { TopicList } from '../../../commands/route.ts'

/** Any JSON: these bodies are only written here. */
const anyBody = <T>(name: string): BodyCodec<T> => jsonBody<T>(name, (value) => value as T)

export interface ConsumerConnection {
  connectionSet: object[]
  subscriptionTable: object
  consumeType: string
  messageModel: string
  consumeFromWhere: string
}

/** The clients of a consumer group and what they want. */
export const GetConsumerConnectionList: Command<
  { consumerGroup: string },
  NoFields,
  undefined,
  ConsumerConnection
> = /* @__PURE__ */ defineCommand({
  code: 203,
  name: 'GET_CONSUMER_CONNECTION_LIST',
  effect: 'read',
  request: { consumerGroup: 'string' },
  responseBody: /* @__PURE__ */ anyBody<ConsumerConnection>('connections'),
})

/** The clients of a producer group. */
export const GetProducerConnectionList: Command<
  { producerGroup: string },
  NoFields,
  undefined,
  { connectionSet: object[] }
> = /* @__PURE__ */ defineCommand({
  code: 204,
  name: 'GET_PRODUCER_CONNECTION_LIST',
  effect: 'read',
  request: { producerGroup: 'string' },
  responseBody: /* @__PURE__ */ anyBody<{ connectionSet: object[] }>('connections'),
})

/** Store time of the first message of a queue, epoch ms; -1 when there is none. */
export const GetEarliestMsgStoreTime: Command<{ topic: string; queueId: number }, { timestamp: bigint }> =
  /* @__PURE__ */ defineCommand({
    code: 32,
    name: 'GET_EARLIEST_MSG_STORETIME',
    effect: 'read',
    request: { topic: 'string', queueId: 'int' },
    response: { timestamp: 'long' },
  })

/** The topics of a cluster. */
export const GetTopicsByCluster: Command<{ cluster: string }, NoFields, undefined, TopicList> =
  /* @__PURE__ */ defineCommand({
    code: 224,
    name: 'GET_TOPICS_BY_CLUSTER',
    to: 'name-server',
    effect: 'read',
    request: { cluster: 'string' },
    responseBody: /* @__PURE__ */ anyBody<TopicList>('topics'),
  })

/** Forgets a value of the name server's own table. mqadmin does it with every topic that it deletes; nothing else uses them here. */
export const DeleteKvConfig: Command<{ namespace: string; key: string }> = /* @__PURE__ */ defineCommand({
  code: 102,
  name: 'DELETE_KV_CONFIG',
  to: 'name-server',
  effect: 'idempotent',
  request: { namespace: 'string', key: 'string' },
})

/** Looks at what a pop would give, without taking it. 19: nothing. */
export const PeekMessage: Command<
  { consumerGroup: string; topic: string; queueId: number; maxMsgNums: number },
  PopMessageResponse,
  undefined,
  Buffer
> = /* @__PURE__ */ defineCommand({
  code: 200052,
  name: 'PEEK_MESSAGE',
  effect: 'read',
  request: { consumerGroup: 'string', topic: 'string', queueId: 'int', maxMsgNums: 'int' },
  response: PopMessage.response,
  responseBody: bytesBody,
  answers: { 19: 'empty' },
})

export interface NotificationRequest {
  consumerGroup: string
  topic: string
  queueId: number
  pollTime: bigint
  bornTime: bigint
  order?: boolean | undefined
  attemptId?: string | undefined
  expType?: string | undefined
  exp?: string | undefined
}

/** Waits until there is something to pop. */
export const Notification: Command<NotificationRequest, { hasMsg: boolean; pollingFull?: boolean }> =
  /* @__PURE__ */ defineCommand({
    code: 200054,
    name: 'NOTIFICATION',
    effect: 'read',
    request: {
      consumerGroup: 'string',
      topic: 'string',
      queueId: 'int',
      pollTime: 'long',
      bornTime: 'long',
      order: 'boolean?',
      attemptId: 'string?',
      expType: 'string?',
      exp: 'string?',
    },
    response: { hasMsg: 'boolean', pollingFull: 'boolean?' },
  })

/** How many pops wait. */
export const PollingInfo: Command<
  { consumerGroup: string; topic: string; queueId: number },
  { pollingNum: number }
> = /* @__PURE__ */ defineCommand({
  code: 200055,
  name: 'POLLING_INFO',
  effect: 'read',
  request: { consumerGroup: 'string', topic: 'string', queueId: 'int' },
  response: { pollingNum: 'int' },
})
