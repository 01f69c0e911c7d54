import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { BodyCodec } from '../../../src/commands/define.ts'
import * as commands from '../../../src/commands/index.ts'
import { ProtocolError } from '../../../src/errors.ts'
import { type JsonValue, parseFastjson } from '../../../src/wire/fastjson.ts'

interface Vectors<T> {
  cases: T[]
}

const vectors = <T>(file: string): T[] => {
  const path = new URL(`../../golden/vectors/${file}`, import.meta.url)
  return (JSON.parse(readFileSync(path, 'utf8')) as Vectors<T>).cases
}

/** A document with sorted members, in keys too: neither side promises an order. */
function sorted(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, member]): [string, unknown] => [
    name.startsWith('{') ? JSON.stringify(sorted(parseFastjson(name))) : name,
    sorted(member),
  ])
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

/** Decodes, encodes again and compares documents, so that a member that is read but not written is found. */
function checkBothWays<T>(codec: BodyCodec<T>, raw: string): T {
  const value = codec.decode(Buffer.from(raw))
  deepStrictEqual(sorted(parseFastjson(text(codec.encode(value)))), sorted(parseFastjson(raw)))
  deepStrictEqual(codec.decode(Buffer.from(codec.encode(value) ?? [])), value)
  return value
}

/** Upstream's class name → the bodies of ours that carry it. */
const codecs: Record<string, readonly BodyCodec<unknown>[]> = {
  TopicRouteData: [commands.GetRouteInfoByTopic.responseBody],
  ClusterInfo: [commands.GetBrokerClusterInfo.responseBody],
  TopicList: [commands.GetAllTopicListFromNameserver.responseBody],
  LockBatchRequestBody: [commands.LockBatchMQ.requestBody, commands.UnlockBatchMQ.requestBody],
  LockBatchResponseBody: [commands.LockBatchMQ.responseBody],
  TopicStatsTable: [commands.GetTopicStatsInfo.responseBody],
  ConsumeStats: [commands.GetConsumeStats.responseBody],
  GetConsumerListByGroupResponseBody: [commands.GetConsumerListByGroup.responseBody],
  TopicConfigAndQueueMapping: [commands.GetTopicConfig.responseBody],
  SubscriptionGroupConfig: [
    commands.GetSubscriptionGroupConfig.responseBody,
    commands.UpdateAndCreateSubscriptionGroup.requestBody,
  ],
  SubscriptionGroupWrapper: [commands.GetAllSubscriptionGroupConfig.responseBody],
  GroupList: [commands.QueryTopicConsumeByWho.responseBody],
  ResetOffsetBody: [
    commands.InvokeBrokerToResetOffset.responseBody,
    commands.ResetConsumerClientOffset.requestBody,
  ],
  BrokerRuntimeInfo: [commands.GetBrokerRuntimeInfo.responseBody],
  ConsumerRunningInfo: [commands.GetConsumerRunningInfo.responseBody],
  ConsumeMessageDirectlyResult: [commands.ConsumeMessageDirectly.responseBody],
}

/** Bodies of requests that the catalogue leaves out: 203, 204, 400, 43, 221 and 308. */
const LEFT_OUT = [
  'ConsumerConnection',
  'ProducerConnection',
  'QueryAssignmentResponseBody',
  'ConsumerOffsetSerializeWrapper',
  'GetConsumerStatusBody',
  'QueryCorrectionOffsetBody',
]

describe('bodies that Apache’s brokers and classes wrote', () => {
  const cases = vectors<{ name: string; type: string; raw: string; strict: string }>('fastjson-bodies.json')

  it('are all known, or left out by name', () => {
    const types = new Set(cases.map((vector) => vector.type))
    deepStrictEqual([...types].toSorted(), [...Object.keys(codecs), ...LEFT_OUT].toSorted())
  })

  for (const [index, { name, type, raw, strict }] of cases.entries()) {
    if (LEFT_OUT.includes(type)) continue
    it(`${index}, ${name}: survives reading and writing, from either form`, () => {
      for (const codec of codecs[type] ?? []) {
        deepStrictEqual(checkBothWays(codec, raw), codec.decode(Buffer.from(strict)))
      }
    })
  }

  it('give whole values', () => {
    const raw = (name: string): Buffer =>
      Buffer.from(cases.findLast((vector) => vector.name === name)?.raw ?? '')
    deepStrictEqual(commands.GetTopicStatsInfo.responseBody.decode(raw('topic stats')), {
      offsetTable: [
        [
          { topic: 'T', brokerName: 'broker-a', queueId: 1 },
          { minOffset: 1n, maxOffset: 9007199254740994n, lastUpdateTimestamp: 0n },
        ],
        [
          { topic: 'T', brokerName: 'broker-a', queueId: 0 },
          { minOffset: 0n, maxOffset: 9007199254740993n, lastUpdateTimestamp: 0n },
        ],
      ],
      topicPutTps: 0,
    })
    deepStrictEqual(commands.GetBrokerClusterInfo.responseBody.decode(raw('cluster')), {
      brokerAddrTable: new Map([
        [
          'broker-a',
          {
            cluster: 'C',
            brokerName: 'broker-a',
            brokerAddrs: new Map([
              [0, '1.1.1.1:10911'],
              [1, '1.1.1.2:10911'],
            ]),
            enableActingMaster: false,
          },
        ],
      ]),
      clusterAddrTable: new Map([['C', ['broker-a']]]),
    })
    deepStrictEqual(commands.LockBatchMQ.requestBody.decode(raw('lock request')), {
      consumerGroup: 'g',
      clientId: 'c@1',
      onlyThisBroker: false,
      mqSet: [{ topic: 'T', brokerName: 'broker-a', queueId: 2 }],
    })
  })
})

describe('heartbeats that Apache’s client wrote', () => {
  for (const { name, bodyText } of vectors<{ name: string; bodyText: string }>('heartbeat.json')) {
    it(`${name}: survives reading and writing`, () => {
      checkBothWays(commands.HeartBeat.requestBody, bodyText)
    })
  }

  it('give whole values', () => {
    const [, first] = vectors<{ bodyText: string }>('heartbeat.json')
    deepStrictEqual(commands.HeartBeat.requestBody.decode(Buffer.from(first?.bodyText ?? '')), {
      clientID: '10.0.0.1@1',
      producerDataSet: [],
      consumerDataSet: [
        {
          groupName: 'cg1',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptionDataSet: [
            {
              topic: 't1',
              subString: 'A||B',
              expressionType: 'TAG',
              tagsSet: ['A', 'B'],
              codeSet: [65, 66],
              subVersion: 1700000000000n,
              classFilterMode: false,
            },
          ],
          unitMode: false,
        },
      ],
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
  })

  it('may leave out what is empty or false, as other clients do', () => {
    const value = commands.HeartBeat.requestBody.decode(
      Buffer.from('{"clientID":"c","producerDataSet":null}'),
    )
    deepStrictEqual(value, {
      clientID: 'c',
      producerDataSet: [],
      consumerDataSet: [],
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
  })
})

describe('send headers that Apache’s client wrote', () => {
  interface SendVector {
    name: string
    v1ExtFields: Record<string, string>
    v2ExtFields: Record<string, string>
  }
  const { SendMessage, SendMessageV2, SendBatchMessage } = commands
  /** Fields of every upstream header that mean nothing to a broker: namespace v2, one-way, logical queue. */
  const ignored = ['ns', 'nsd', 'oway', 'lo']

  for (const { name, v1ExtFields, v2ExtFields } of vectors<SendVector>('send-header-v2.json')) {
    it(`${name}: the long and the short form are one header, read and written`, () => {
      const long = commands.decodeFields('10', SendMessage.request, v1ExtFields, SendMessage.wireNames)
      const short = commands.decodeFields('310', SendMessageV2.request, v2ExtFields, SendMessageV2.wireNames)
      // The short form has Java's zero where the long one leaves a value out.
      deepStrictEqual({ reconsumeTimes: 0, unitMode: false, batch: false, ...long }, short)
      const written = commands.encodeFields('10', SendMessage.request, long, undefined, SendMessage.wireNames)
      const known = Object.entries(v1ExtFields).filter(([key]) => !ignored.includes(key))
      deepStrictEqual({ ...written }, Object.fromEntries(known))
      for (const { request, wireNames } of [SendMessageV2, SendBatchMessage]) {
        deepStrictEqual(
          { ...commands.encodeFields('310', request, short, undefined, wireNames) },
          v2ExtFields,
        )
      }
    })
  }
})

describe('batch acknowledgements that Apache’s client wrote', () => {
  interface BatchAckVector {
    kind: string
    bodyText: string
    bitsetLittleEndianHex: string
  }
  const cases = vectors<BatchAckVector>('pop-receipt.json').filter(({ kind }) => kind === 'batchAck')

  it('are there', () => ok(cases.length > 0))

  for (const [index, { bodyText, bitsetLittleEndianHex }] of cases.entries()) {
    it(`${index}: survives reading and writing`, () => {
      const body = checkBothWays(commands.BatchAckMessage.requestBody, bodyText)
      const bits = body.acks.map((ack) => Buffer.from(ack.bitSet).toString('hex'))
      deepStrictEqual(bits, [bitsetLittleEndianHex])
    })
  }

  it('give whole values', () => {
    deepStrictEqual(commands.BatchAckMessage.requestBody.decode(Buffer.from(cases[0]?.bodyText ?? '')), {
      brokerName: 'broker-a',
      acks: [
        {
          consumerGroup: 'cg',
          topic: 'orders',
          retry: '0',
          startOffset: 100n,
          queueId: 1,
          reviveQueueId: 2,
          popTime: 1795376050574n,
          invisibleTime: 60000n,
          bitSet: Buffer.from([1]),
        },
      ],
    })
  })
})

describe('bodies without a vector', () => {
  it('check a filter with its whole subscription', () => {
    const value: commands.CheckClientRequestBody = {
      clientId: 'c',
      group: 'g',
      subscriptionData: {
        topic: 't',
        subString: 'a > 1',
        expressionType: 'SQL92',
        tagsSet: [],
        codeSet: [],
        subVersion: 1n,
        classFilterMode: false,
      },
      namespace: 'n',
    }
    const codec = commands.CheckClientConfig.requestBody
    deepStrictEqual(codec.decode(Buffer.from(codec.encode(value) ?? [])), value)
  })

  it('create a group from its name alone, with the broker’s defaults for the rest', () => {
    const codec = commands.UpdateAndCreateSubscriptionGroup.requestBody
    strictEqual(text(codec.encode({ groupName: 'g' })), '{"groupName":"g"}')
    const config = codec.decode(Buffer.from('{"groupName":"g"}'))
    deepStrictEqual(config, {
      groupName: 'g',
      consumeEnable: true,
      consumeFromMinEnable: true,
      consumeBroadcastEnable: true,
      consumeMessageOrderly: false,
      retryQueueNums: 1,
      retryMaxTimes: 16,
      groupRetryPolicy: { type: 'CUSTOMIZED' },
      brokerId: 0n,
      whichBrokerWhenConsumeSlowly: 1n,
      notifyConsumerIdsChangedEnable: true,
      groupSysFlag: 0,
      consumeTimeoutMinute: 15,
      attributes: Object.create(null),
    })
  })

  it('keep what a group may subscribe to, and read what is left out of it', () => {
    const codec = commands.GetSubscriptionGroupConfig.responseBody
    const config = codec.decode(
      Buffer.from(
        '{"groupName":"g","subscriptionDataSet":[{"topic":"t","expressionType":"TAG","expression":"*","version":5},{"topic":"u"}],"attributes":{"a":"b"}}',
      ),
    )
    deepStrictEqual(config.subscriptionDataSet, [
      { topic: 't', expressionType: 'TAG', expression: '*', version: 5n },
      { topic: 'u', expressionType: '', expression: '', version: 0n },
    ])
    deepStrictEqual({ ...config.attributes }, { a: 'b' })
    deepStrictEqual(codec.decode(Buffer.from(codec.encode(config) ?? [])), config)
  })

  it('are nothing where a command has none', () => {
    strictEqual(commands.noBody.encode(undefined), undefined)
    strictEqual(commands.noBody.decode(Buffer.from('x')), undefined)
    strictEqual(text(commands.bytesBody.encode(Buffer.from('x'))), 'x')
  })

  it('keep zones, acting masters and order settings of a route', () => {
    checkBothWays(
      commands.GetRouteInfoByTopic.responseBody,
      '{"queueDatas":[],"brokerDatas":[{"cluster":"c","brokerName":"b","brokerAddrs":{"0":"a:1"},"enableActingMaster":true,' +
        '"zoneName":"z"}],"orderTopicConf":"b:4","filterServerTable":{}}',
    )
  })

  it('keep the address of a topic list', () => {
    const raw = '{"topicList":["a"],"brokerAddr":"b:1"}'
    checkBothWays(commands.GetAllTopicListFromNameserver.responseBody, raw)
  })

  it('write a full heartbeat where the caller names only groups', () => {
    const value = { clientID: 'c', producerDataSet: [{ groupName: 'p' }], consumerDataSet: [] }
    strictEqual(
      text(commands.HeartBeat.requestBody.encode(value)),
      '{"clientID":"c","producerDataSet":[{"groupName":"p"}],"consumerDataSet":[],"heartbeatFingerprint":0,"withoutSub":false}',
    )
  })

  it('keep both retry policies of a group', () => {
    const policies = [
      '{"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":5000,"max":7200000,"multiplier":2}}',
      '{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000,5000]}}',
    ]
    for (const policy of policies) {
      const codec = commands.GetSubscriptionGroupConfig.responseBody
      const config = codec.decode(Buffer.from(`{"groupName":"g","groupRetryPolicy":${policy}}`))
      const written = parseFastjson(text(codec.encode(config)))
      deepStrictEqual(sorted(written), {
        ...(sorted(written) as object),
        groupRetryPolicy: JSON.parse(policy),
      })
    }
  })

  it('keep rates, pop queues and the thread dump of running info', () => {
    const raw =
      '{"properties":{"PROP_CONSUME_TYPE":"CONSUME_POP"},"subscriptionSet":[],"mqTable":{},' +
      '"mqPopTable":{{"brokerName":"b","queueId":0,"topic":"t"}:{"droped":true,"lastPopTimestamp":3,"waitAckCount":2}},' +
      '"statusTable":{"t":{"consumeFailedMsgs":1,"consumeFailedTPS":0.5,"consumeOKTPS":2.5,"consumeRT":1.25,"pullRT":3.5,"pullTPS":4}},' +
      '"userConsumerInfo":{"a":"b"},"jstack":"main"}'
    checkBothWays(commands.GetConsumerRunningInfo.responseBody, raw)
  })

  it('keep the reason of a message that failed when consumed directly', () => {
    const raw =
      '{"autoCommit":true,"consumeResult":"CR_THROW_EXCEPTION","order":true,"remark":"boom","spentTimeMills":1}'
    checkBothWays(commands.ConsumeMessageDirectly.responseBody, raw)
  })

  it('send only the three fields of a queue, whatever the caller’s object holds besides', () => {
    const queue = { topic: 't', brokerName: 'b', queueId: 0, secret: 'x' }
    const body = { consumerGroup: 'g', clientId: 'c', mqSet: [queue] }
    strictEqual(
      text(commands.UnlockBatchMQ.requestBody.encode(body)),
      '{"consumerGroup":"g","clientId":"c","mqSet":[{"topic":"t","brokerName":"b","queueId":0}]}',
    )
  })
})

describe('bodies with wrong values', () => {
  const wrong: readonly [codec: BodyCodec<unknown>, body: string, field: string][] = [
    [commands.GetRouteInfoByTopic.responseBody, '{"brokerDatas":[]}', 'route.queueDatas'],
    [
      commands.GetRouteInfoByTopic.responseBody,
      '{"queueDatas":[{"brokerName":"b","readQueueNums":4,"writeQueueNums":4,"perm":"6"}],"brokerDatas":[]}',
      'route.queueDatas[0].perm',
    ],
    [
      commands.GetRouteInfoByTopic.responseBody,
      '{"queueDatas":[],"brokerDatas":[{"cluster":"c","brokerName":"b","brokerAddrs":{"x":"a:1"}}]}',
      'brokerAddrs',
    ],
    [
      commands.GetRouteInfoByTopic.responseBody,
      '{"queueDatas":[],"brokerDatas":[{"cluster":1}]}',
      'route.brokerDatas[0].cluster',
    ],
    [
      commands.LockBatchMQ.responseBody,
      '{"lockOKMQSet":[{"topic":"t","brokerName":"b","queueId":2147483648}]}',
      'locked.lockOKMQSet[0].queueId',
    ],
    [
      commands.InvokeBrokerToResetOffset.responseBody,
      '{"offsetTable":{{"topic":"t","brokerName":"b"}:1}}',
      'key {"topic":"t","brokerName":"b"}.queueId',
    ],
    [commands.InvokeBrokerToResetOffset.responseBody, '{"offsetTable":{"no json":1}}', 'json'],
    [
      commands.InvokeBrokerToResetOffset.responseBody,
      '{"offsetTable":{{"topic":"t","brokerName":"b","queueId":0}:9223372036854775808}}',
      'reset.offsetTable[{"topic":"t","brokerName":"b","queueId":0}]',
    ],
    [commands.HeartBeat.requestBody, '{"clientID":"c","consumerDataSet":{}}', 'heartbeat.consumerDataSet'],
    [commands.GetTopicConfig.responseBody, '[]', 'topicConfig'],
    [commands.GetTopicConfig.responseBody, '', 'json'],
  ]

  for (const [codec, body, field] of wrong) {
    it(`name the place: ${field} of ${body}`, () => {
      throws(
        () => codec.decode(Buffer.from(body)),
        (error) => error instanceof ProtocolError && error.field === field,
      )
    })
  }

  it('cannot reach a prototype through a key', () => {
    const raw =
      '{"topicName":"t","readQueueNums":1,"writeQueueNums":1,"perm":6,"attributes":{"__proto__":"x"}}'
    const { attributes } = commands.GetTopicConfig.responseBody.decode(Buffer.from(raw))
    deepStrictEqual(Object.entries(attributes), [['__proto__', 'x']])
    strictEqual(Object.getPrototypeOf(attributes), null)
  })

  it('take tag codes that are written as text, as the Go client does', () => {
    const subscription = '{"topic":"t","subString":"go","tagsSet":["go"],"codeSet":["3304","-5"]}'
    const consumer = `{"groupName":"g","consumeType":"","messageModel":"","consumeFromWhere":"","subscriptionDataSet":[${subscription}]}`
    const { consumerDataSet } = commands.HeartBeat.requestBody.decode(
      Buffer.from(`{"clientID":"c","consumerDataSet":[${consumer}]}`),
    )
    deepStrictEqual(consumerDataSet[0]?.subscriptionDataSet[0]?.codeSet, [3304, -5])
    throws(
      () =>
        commands.HeartBeat.requestBody.decode(
          Buffer.from(`{"clientID":"c","consumerDataSet":[${consumer.replace('"-5"', '"x"')}]}`),
        ),
      ProtocolError,
    )
  })
})

describe('the settings of a broker', () => {
  // Made up; a whole answer of a broker is test/golden/vectors/broker-config.json.
  const raw =
    'brokerName=broker-a\nmessageStorePlugIn=\ntransactionTimeOut=1000\nmessageDelayLevel=1s 5s 10s\n' +
    'initAuthenticationUser={"a":"b=c"}\n'

  it('are read line by line, and written likewise', () => {
    const { responseBody } = commands.GetBrokerConfig
    const values = responseBody.decode(Buffer.from(raw))
    deepStrictEqual(
      { ...values },
      {
        brokerName: 'broker-a',
        messageStorePlugIn: '',
        transactionTimeOut: '1000',
        messageDelayLevel: '1s 5s 10s',
        initAuthenticationUser: '{"a":"b=c"}',
      },
    )
    deepStrictEqual(text(responseBody.encode(values)), raw)
  })
})
