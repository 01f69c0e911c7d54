/**
 * Inputs as large as a server can make them, for targets of the fuzzer, whose own inputs are small: what is refused by its
 * size, the most that is not, and beside them the largest that servers mean. Each is measured by `measureLarge`.
 */
import { deflateSync } from 'node:zlib'
import { COMPRESSED, INNER_BATCH, NEED_UNWRAP } from '../../src/wire/flags.ts'
import { encodeBatch, encodeFrame, encodeFrameBinary } from '../../src/wire/index.ts'
import { storedMessage } from './stored-message.ts'

export interface LargeInput {
  /** A name of fuzz-targets.ts. */
  target: string
  what: string
  /** Whether it gives a result, or ends in an error of ours. */
  isTaken: boolean
  make: () => Buffer
}

const MIB = 1024 * 1024
const FRAME_BYTES = 16 * MIB - 1_000
/** As json-text.ts and json.ts have them. */
const MOST_VALUES = 180_000
const MOST_ENTRIES = 20_000

/** `[each,each,…]` */
const listOf = (each: string, bytes: number): string =>
  `[${`${each},`.repeat(Math.floor((bytes - 2) / (each.length + 1)) - 1)}${each}]`
const repeated = (count: number, each: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => each(index)).join()
/** Around what is looked at. */
const unknown = (value: string, others = ''): string => `{${others}"unknown":${value}}`

/** Of a frame with that header, whatever it is; with its length. */
function frameOf(header: string, serializeType = 0): Buffer {
  const bytes = Buffer.from(`        ${header}`)
  bytes.writeUInt32BE(bytes.length - 4)
  bytes.writeUInt32BE(bytes.length - 8 + serializeType * 0x100_0000, 4)
  return bytes
}
const answerOf = (body: string): Buffer =>
  Buffer.from(encodeFrame({ code: 0, opaque: 1, flag: 1, body: Buffer.from(body) }))
const headerOf = (value: string): Buffer => frameOf(unknown(value, '"code":0,"opaque":1,"flag":1,'))

const ROUTE = '"queueDatas":[],"brokerDatas":[],'
const name = (index: number): string => `a-topic-or-a-group-of-somebody-${String(index).padStart(6, '0')}`
const queue = (index: number, topic = 'orders'): string =>
  `{"brokerName":"broker-a","queueId":${index},"topic":"${topic}"}`
const groupTable = (count: number, more: string): string =>
  `{"dataVersion":{"counter":9007199254740993},"subscriptionGroupTable":{${repeated(count, (index) => `"${name(index)}":{"groupName":"${name(index)}",${more}}`)}}}`
const GROUP =
  '"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,' +
  '"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,' +
  '"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1'
const TOPIC =
  '"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicSysFlag":0,"writeQueueNums":8'

/** One that says that it is a batch of what the bytes expand to. */
const innerBatch = (batch: Buffer): Buffer =>
  storedMessage({ body: deflateSync(batch), sysFlag: COMPRESSED | INNER_BATCH | NEED_UNWRAP })
const batchOf = (count: number, properties: string): Buffer =>
  encodeBatch(
    Array<{ flag: number; body: Buffer; properties: string }>(count).fill({
      flag: 0,
      body: Buffer.alloc(0),
      properties,
    }),
  )

function headers(): LargeInput[] {
  const whole = (what: string, make: () => Buffer): LargeInput => ({
    target: 'frame',
    what,
    isTaken: false,
    make,
  })
  const most = (what: string, make: () => Buffer): LargeInput => ({
    target: 'frame',
    what,
    isTaken: true,
    make,
  })
  const ext = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [index.toString(36), 'x']))
  return [
    whole('a header of 16 MiB of objects', () => headerOf(listOf('{}', FRAME_BYTES))),
    whole('a header of 8 million levels', () =>
      headerOf('['.repeat(FRAME_BYTES / 2) + ']'.repeat(FRAME_BYTES / 2)),
    ),
    whole('a binary header of 1.4 million fields', () =>
      Buffer.from(encodeFrameBinary({ code: 0, opaque: 1, ext: ext(1_400_000) })),
    ),
    most('as many objects in a header as are counted', () => headerOf(listOf('{}', 0x3_ff00))),
    most('170,000 levels in a header', () => headerOf('['.repeat(170_000) + ']'.repeat(170_000))),
    most('256 KiB of fields in a binary header', () =>
      Buffer.from(encodeFrameBinary({ code: 0, opaque: 1, ext: ext(24_000) })),
    ),
  ]
}

/** What any JSON body may be, for one that is read by JSON.parse, one by its reviver, and one by our own parser. */
function documents(): LargeInput[] {
  const targets = [
    ['answer body of GET_ROUTEINFO_BY_TOPIC', ROUTE],
    ['request body of HEART_BEAT', '"clientID":"a","producerDataSet":[],"consumerDataSet":[],'],
    ['answer body of GET_CONSUME_STATS', ''],
  ] as const
  const half = MOST_VALUES / 2 - 50
  return targets.flatMap(([target, others]) => {
    const of = (isTaken: boolean, what: string, value: () => string): LargeInput => ({
      target,
      what,
      isTaken,
      make: () => Buffer.from(unknown(value(), others)),
    })
    return [
      of(false, '16 MiB of objects', () => listOf('{}', FRAME_BYTES)),
      of(false, '16 MiB of bare keys', () => `{${listOf('1:1', FRAME_BYTES).slice(1, -1)}}`),
      of(false, '16 MiB of escapes', () => `"${'\\n'.repeat(FRAME_BYTES / 2)}"`),
      of(false, '16 MiB of text', () => `"主${'x'.repeat(FRAME_BYTES)}"`),
      of(true, 'the most objects', () => listOf('{}', half * 3)),
      of(true, 'the most members', () => `{${repeated(half * 2, (index) => `"${index.toString(36)}x":1`)}}`),
      of(
        true,
        'the most members beside the most text',
        () =>
          `{"text":"主${'x'.repeat(3 * MIB)}",${repeated(half * 2, (index) => `"${index.toString(36)}x":1`)}}`,
      ),
      of(true, 'the most bare keys', () => `{${listOf('1:1', half * 8).slice(1, -1)}}`),
      of(true, 'the longest text', () => `"主${'x'.repeat(5 * MIB - 200)}"`),
    ]
  })
}

/** By the readers of the bodies: each entry is read into more than it was. */
function tables(): LargeInput[] {
  const of = (target: string, what: string, isTaken: boolean, text: () => string): LargeInput => ({
    target,
    what,
    isTaken,
    make: () => Buffer.from(text()),
  })
  const many = MOST_VALUES - 100
  return [
    of(
      'answer body of GET_BROKER_RUNTIME_INFO',
      'the most figures',
      false,
      () => `{"table":{${repeated(many, (index) => `"${index.toString(36)}":""`)}}}`,
    ),
    of('answer body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG', 'the most groups', false, () =>
      groupTable(many / 2, '"brokerId":0'),
    ),
    of('answer body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG', 'the most groups with attributes', true, () =>
      groupTable(many / 11, `"attributes":{${repeated(8, (index) => `"${index}":""`)}}`),
    ),
    of(
      'answer body of GET_BROKER_CONFIG',
      '16 MiB of settings',
      false,
      () => `${'a=\n'.repeat(FRAME_BYTES / 3)}`,
    ),
    of(
      'fastjson',
      'keys in keys around 15 MB',
      false,
      () => `${'{'.repeat(98)}"${'x'.repeat(15_000_000)}":1${'}:1'.repeat(97)}}`,
    ),
    of(
      'fastjson',
      'keys in keys around 5 MB',
      false,
      () => `${'{'.repeat(98)}"${'x'.repeat(5_000_000)}":1${'}:1'.repeat(97)}}`,
    ),
    // What servers mean.
    of(
      'answer body of GET_ALL_TOPIC_LIST_FROM_NAMESERVER',
      'the names of 100,000 topics',
      true,
      () => `{"topicList":[${repeated(100_000, (index) => `"${name(index)}"`)}]}`,
    ),
    of(
      'answer body of GET_ALL_TOPIC_CONFIG',
      'the settings of 10,000 topics of 8 queues',
      true,
      () =>
        `{"topicConfigTable":{${repeated(10_000, (index) => `"${name(index)}":{"topicName":"${name(index)}",${TOPIC}}`)}}}`,
    ),
    of('answer body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG', 'the settings of 10,000 groups', true, () =>
      groupTable(10_000, GROUP),
    ),
    of(
      'answer body of GET_CONSUME_STATS',
      'the offsets of a group in 20,000 queues',
      true,
      () =>
        `{"consumeTps":0.0,"offsetTable":{${repeated(MOST_ENTRIES, (index) => `${queue(index % 8, name(index >> 3))}:{"brokerOffset":1,"consumerOffset":1,"lastTimestamp":1795377446126,"pullOffset":1}`)}}}`,
    ),
    of(
      'answer body of LOCK_BATCH_MQ',
      '20,000 queues',
      true,
      () => `{"lockOKMQSet":[${repeated(20_000, (index) => queue(index))}]}`,
    ),
    of(
      'answer body of GET_CONSUMER_LIST_BY_GROUP',
      '10,000 members',
      true,
      () => `{"consumerIdList":[${repeated(10_000, (index) => `"10.0.0.1@${name(index)}"`)}]}`,
    ),
  ]
}

/** Through the client, which makes more of them. */
const answers = (): LargeInput[] => [
  {
    target: 'route: answer of GET_ROUTEINFO_BY_TOPIC',
    what: 'a route through 1,000 brokers of 16 queues',
    isTaken: true,
    make: () =>
      answerOf(
        `{"queueDatas":[${repeated(1_000, (index) => `{"brokerName":"b${index}","readQueueNums":16,"writeQueueNums":16,"perm":6,"topicSysFlag":0}`)}],` +
          `"brokerDatas":[${repeated(1_000, (index) => `{"cluster":"c","brokerName":"b${index}","brokerAddrs":{"0":"10.0.0.1:${10_000 + index}","1":"10.0.0.2:10911"}}`)}]}`,
      ),
  },
  {
    target: 'route: answer of GET_ROUTEINFO_BY_TOPIC',
    what: 'a route of 16 MiB of objects',
    isTaken: false,
    make: () => answerOf(unknown(listOf('{}', FRAME_BYTES - 1_000), ROUTE)),
  },
]

/** Few bytes that say that they are very many messages: undecodable, which is a result. */
const batches = (): LargeInput[] =>
  (
    [
      ['700,000 messages in 16 KB', () => [innerBatch(batchOf(700_000, ''))]],
      ['a batch of 60,000 messages', () => [innerBatch(batchOf(60_000, ''))]],
      [
        'a batch of 60,000 messages, a hundred times',
        () => Array<Buffer>(100).fill(innerBatch(batchOf(60_000, ''))),
      ],
      [
        '500 messages with 32 KB of properties each, four times',
        () => Array<Buffer>(4).fill(innerBatch(batchOf(500, 'x'.repeat(32_000)))),
      ],
    ] as const
  ).map(([what, make]) => ({
    target: 'messages within the usual limits',
    what,
    isTaken: true,
    make: () => Buffer.concat(make()),
  }))

export const largeInputs = (): LargeInput[] => [
  ...headers(),
  ...documents(),
  ...tables(),
  ...answers(),
  ...batches(),
]
