/** Topics, routes and permissions (protocol.md 2). */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { PullMessage } from '../../../src/commands/pull.ts'
import {
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetRouteInfoByTopic,
} from '../../../src/commands/route.ts'
import { SendMessage } from '../../../src/commands/send.ts'
import { DeleteTopicInBroker } from '../../../src/commands/topics.ts'
import { createProducer } from '../../../src/index.ts'
import { type Cases, failure, until } from '../context.ts'
import { plainSend } from './requests.ts'

export const routes: Cases = {
  'a topic that does not exist has no route, and no consumer can read it': async (c) => {
    const topic = c.name('nowhere')
    deepStrictEqual(await failure(c.ask(GetRouteInfoByTopic, { topic }, undefined)), {
      error: 'BrokerError',
      responseCode: 17,
    })
    deepStrictEqual(await failure(c.consumer().queues(topic)), {
      error: 'RouteError',
      responseCode: 17,
      outcome: 'not-sent',
    })
  },

  'a retry topic that nothing was sent to has no queues, which is no error': async (c) => {
    deepStrictEqual(await c.consumer().queues(`%RETRY%${c.name()}`), [])
  },

  'the route of a created topic has its queues, permission and the address of the master': async (c) => {
    const topic = await c.topic({ readQueueNums: 3, writeQueueNums: 2, perm: 6 })
    const { body } = await c.ask(GetRouteInfoByTopic, { topic, acceptStandardJsonOnly: true }, undefined)
    const { queueDatas, brokerDatas } = body
    deepStrictEqual(
      {
        queueDatas,
        brokers: brokerDatas.map(({ cluster, brokerName, brokerAddrs }) => ({
          cluster,
          brokerName,
          brokerAddrs,
        })),
      },
      {
        queueDatas: [
          { brokerName: c.brokerName, readQueueNums: 3, writeQueueNums: 2, perm: 6, topicSysFlag: 0 },
        ],
        brokers: [
          { cluster: c.clusterName, brokerName: c.brokerName, brokerAddrs: new Map([[0, c.master]]) },
        ],
      },
    )
    deepStrictEqual(await c.consumer().queues(topic), [
      c.queue(topic, 0),
      c.queue(topic, 1),
      c.queue(topic, 2),
    ])
  },

  'a route in the old text form, with bare integer keys, is read as well': async (c) => {
    const topic = await c.topic()
    const { body } = await c.ask(GetRouteInfoByTopic, { topic }, undefined)
    deepStrictEqual(body.brokerDatas[0]?.brokerAddrs, new Map([[0, c.master]]))
  },

  'the first send to a topic creates it with the queues that the producer asks for': async (c) => {
    const [three, eight] = [c.name('auto'), c.name('auto')]
    const asking = (defaultTopicQueueNums: number) =>
      createProducer(c.client, { producerGroup: 'conformance', defaultTopicQueueNums })
    await asking(3).send({ topic: three, body: 'first' })
    await asking(100).send({ topic: eight, body: 'first' })
    const queues = (topic: string) =>
      until(`the route of ${topic}`, () =>
        c
          .consumer()
          .queues(topic)
          .then(
            (list) => list.length,
            () => undefined,
          ),
      )
    deepStrictEqual([await queues(three), await queues(eight)], [3, 8])
  },

  'a new topic is not created after another one than TBW102': async (c) => {
    const topic = c.name('auto')
    const request = plainSend(topic, { defaultTopic: c.name('nowhere') })
    deepStrictEqual(await failure(c.call(SendMessage, request, Buffer.from('x'))), {
      error: 'BrokerError',
      responseCode: 17,
      outcome: 'refused',
    })
  },

  'a read-only topic is refused by the producer, because the broker would take the message': async (c) => {
    const topic = await c.topic({ perm: 4 })
    await rejects(c.producer.send({ topic, body: 'x' }), {
      name: 'RouteError',
      outcome: 'not-sent',
      retryable: false,
    })
    const answer = await c.call(SendMessage, plainSend(topic), Buffer.from('x'))
    deepStrictEqual([answer.code, answer.header.queueOffset], [0, 0n])
  },

  'a write-only topic has no queues to read, and the broker refuses a pull': async (c) => {
    const topic = await c.topic({ perm: 2 })
    deepStrictEqual(await c.consumer().queues(topic), [])
    deepStrictEqual(
      await failure(
        c.call(
          PullMessage,
          {
            consumerGroup: c.name(),
            topic,
            queueId: 0,
            queueOffset: 0n,
            maxMsgNums: 1,
            sysFlag: 4,
            subscription: '*',
          },
          undefined,
        ),
      ),
      { error: 'BrokerError', responseCode: 16 },
    )
  },

  'a deleted topic is gone from broker and name server; deleting it again succeeds': async (c) => {
    const topic = await c.topic()
    for (let round = 0; round < 2; round++) {
      await c.call(DeleteTopicInBroker, { topic }, undefined)
      await c.ask(DeleteTopicInNamesrv, { topic }, undefined)
    }
    deepStrictEqual(await failure(c.ask(GetRouteInfoByTopic, { topic }, undefined)), {
      error: 'BrokerError',
      responseCode: 17,
    })
  },

  'a system topic cannot be deleted': async (c) => {
    deepStrictEqual(await failure(c.call(DeleteTopicInBroker, { topic: 'TBW102' }, undefined)), {
      error: 'BrokerError',
      ...c.facts.wrongQueue,
    })
  },

  'the name server lists topics, system topics too, and the cluster': async (c) => {
    const topic = await c.topic()
    const list = await c.ask(GetAllTopicListFromNameserver, {}, undefined)
    ok(list.body.topicList.includes(topic))
    ok(list.body.topicList.includes('TBW102'))
    const { body } = await c.ask(GetBrokerClusterInfo, {}, undefined)
    deepStrictEqual(
      [body.clusterAddrTable, body.brokerAddrTable.get(c.brokerName)?.brokerAddrs],
      [new Map([[c.clusterName, [c.brokerName]]]), new Map([[0, c.master]])],
    )
  },
}
