/**
 * Everything that decodes what comes from outside: from brokers and name servers as frames, and as bodies and text what
 * they store and answer, what callers of the functions send, and what stands in configurations.
 *
 * A target gives a result or throws an error of this package; what else must hold it checks itself.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync, zstdCompressSync } from 'node:zlib'
import { sealTransaction } from '../../src/client/transaction.ts'
import { messageOf, SendResult } from '../../src/client/values.ts'
import {
  bytesBody,
  CheckTransactionState,
  ConsumeMessageDirectly,
  catalogue,
  decodeFields,
  GetConsumerRunningInfo,
  NotifyConsumerIdsChanged,
  noBody,
  RequestCode,
  ResetConsumerClientOffset,
} from '../../src/commands/index.ts'
import { PartialError, RocketMQError } from '../../src/errors.ts'
import * as core from '../../src/index.ts'
import { loadFormat } from '../../src/lambda/format.ts'
import { type LambdaApi, parseEventSources, publisher, transactionEnder } from '../../src/lambda/index.ts'
import { createInvoker } from '../../src/lambda/lambda-invoke.ts'
import { readWorkerPayload, resolveEventSource } from '../../src/lambda/options.ts'
import { readBatchResponse } from '../../src/lambda/response.ts'
import { readCredentials } from '../../src/lambda/secret.ts'
import { type StandardSchema, validate } from '../../src/lambda/standard-schema.ts'
import { targetHandler, targetVerdict } from '../../src/lambda/target.ts'
import { httpEvent, lambdaContext } from '../../src/testing/index.ts'
import { fieldsOf } from '../../src/wire/fields.ts'
import * as wire from '../../src/wire/index.ts'
import { decodeStored } from '../../src/wire/message.ts'
import { clientOfNobody, MESSAGES, QUEUE, sampleAnswers, sampleBodies, sampleFields } from './fuzz-answers.ts'
import { message } from './records.ts'
import { vectorCases } from './vectors.ts'

export interface Target {
  name: string
  group: 'frames' | 'bodies'
  /** What inputs are made of. */
  seeds: readonly Buffer[]
  /** `json` and `frame`: most inputs stay sound in form. */
  shape: 'bytes' | 'json' | 'frame'
  /** How many inputs of a round it gets: those that read bytes most, as they are the ones with the most to get wrong. @default 1 */
  weight?: number
  run(input: Buffer): unknown
  /** Ends what was begun by the first input. */
  end?(): void
}

export const MAX_BODY_BYTES: number = 1 << 16
const TOKEN_SECRET = 'a secret of 32 characters or more'
/** Sooner than the pause before a second attempt, so that none is waited for. */
const CALL_MS = 39

export function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

/** Resolves when what was begun has come to its end, or waits for something. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const hex = (file: string, member: string, most = 2000): Buffer[] =>
  vectorCases(file)
    .map((vector) => Buffer.from(vector[member], 'hex'))
    .filter((input) => input.length <= most)
const text = (file: string, ...members: string[]): Buffer[] =>
  vectorCases(file)
    .flatMap((vector) => members.map((member) => vector[member]))
    .filter((value) => typeof value === 'string')
    .map((value) => Buffer.from(value))
const documents = (...values: readonly unknown[]): Buffer[] =>
  values.map((value) => Buffer.from(JSON.stringify(value)))

const bytes = (name: string, seeds: readonly Buffer[], run: Target['run'], weight = 1): Target => ({
  weight,
  name,
  group: 'bodies',
  shape: 'bytes',
  seeds,
  run,
})
/** Of text. */
const words = (
  name: string,
  seeds: readonly Buffer[],
  run: (text: string) => unknown,
  weight?: number,
): Target => bytes(name, seeds, (input) => run(input.toString()), weight)
/** Of a document that somebody else has parsed: an event, the answer of a handler. What is no JSON never comes here. */
const json = (name: string, seeds: readonly Buffer[], run: (value: unknown) => unknown): Target => ({
  ...bytes(name, seeds, (input) => {
    let value: unknown
    try {
      value = JSON.parse(input.toString())
    } catch {
      return undefined
    }
    return run(value)
  }),
  shape: 'json',
})

// Frames

/** Also in two pieces: what a frame decodes to must not depend on the split. */
function decodeStream(input: Buffer): void {
  const run = (pieces: Buffer[]): string => {
    const decoder = new wire.FrameDecoder(1 << 20)
    const frames: string[] = []
    try {
      for (const piece of pieces)
        decoder.push(piece, (frame) => frames.push(`${frame.code} ${frame.opaque} ${frame.body.length}`))
    } catch (error) {
      if (!(error instanceof RocketMQError)) throw error
      frames.push('failed')
    }
    return frames.join()
  }
  const middle = input.length >> 1
  const whole = run([input])
  const split = run([input.subarray(0, middle), input.subarray(middle)])
  expect(whole === split, `split at ${middle} gives ${split} for ${whole}`)
}

function frameTargets(): Target[] {
  const frames = [
    ...hex('remoting-command-json.json', 'frameHex'),
    ...hex('remoting-command-rocketmq.json', 'frameHex'),
  ]
  const headers = frames
    .filter((frame) => frame[4] === 0)
    .map((frame) => frame.subarray(8, 8 + frame.readUIntBE(5, 3)))
  const frameOf = (header: Buffer): Buffer => {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(header.length)
    return Buffer.concat([prefix, header])
  }
  const own = { group: 'frames', weight: 50 } as const
  return [
    {
      ...own,
      name: 'frame',
      shape: 'bytes',
      seeds: frames,
      run: (input) => wire.decodeFrame(input.subarray(4)),
    },
    { ...own, name: 'stream', shape: 'bytes', seeds: frames, run: decodeStream },
    {
      ...own,
      name: 'JSON header',
      shape: 'json',
      seeds: headers,
      run: (input) => wire.decodeFrame(frameOf(input)),
    },
  ]
}

/** A call of the client, and the codes of the requests that it makes. */
type Call = readonly [
  name: string,
  codes: readonly number[],
  call: (limits: { deadlineMs: number }) => Promise<unknown>,
]

/** Answers of brokers and name servers, as they go through the client: each call with each of its answers. */
function answerTargets(): Target[] {
  const nobody = clientOfNobody()
  const { client, answers } = nobody
  const sound = new Map(answers)
  const consumer = core.createPullConsumer(client, { consumerGroup: 'billing', filter: 'a || b' })
  const popper = core.createPopConsumer(client, { consumerGroup: 'billing' })
  const producer = core.createProducer(client, { producerGroup: 'shop', retries: 0 })
  const transactions = core.createTransactionProducer(client, { producerGroup: 'shop', retries: 0 })
  const topics = core.createTopicAdmin(client)
  const groups = core.createGroupAdmin(client)
  const offsets = core.createOffsetAdmin(client)
  const query = core.createMessageQuery(client)
  const cluster = core.createClusterAdmin(client)
  const outgoing = { topic: 'orders', body: 'x' }
  const timer = { ...outgoing, delayMs: 1_000 }
  const handle = wire.formatRecallHandle({
    topic: 'orders',
    brokerName: 'broker-a',
    deliverTimeMs: 1n,
    messageId: 'A',
  })
  const [receipt = ''] = text('pop-receipt.json', 'receipt').map(String)
  const first = message()
  let turn = 0
  const freshRoute: Call[2] = async () =>
    await client.route(`topic-${turn++ % 5_000}`, client.deadline({ deadlineMs: Date.now() + CALL_MS }))
  const calls: Call[] = [
    ['route', [RequestCode.GET_ROUTEINFO_BY_TOPIC], freshRoute],
    [
      'pull',
      [RequestCode.PULL_MESSAGE],
      async (limits) => {
        const { messages, nextBeginOffset } = await consumer.pull(QUEUE, 1n, limits)
        const sent = answers.get(RequestCode.PULL_MESSAGE)?.ext['nextBeginOffset']
        for (const each of messages) {
          JSON.stringify(each)
          // Where the client ends an answer sooner than the broker, the next pull has what comes behind.
          const isGiven = String(nextBeginOffset) === sent || each.queueOffset < nextBeginOffset
          expect(isGiven, 'a message behind the place where the answer was ended')
        }
      },
    ],
    [
      'committedOffset',
      [RequestCode.QUERY_CONSUMER_OFFSET, RequestCode.GET_MIN_OFFSET],
      (limits) => consumer.committedOffset(QUEUE, limits),
    ],
    [
      'commitOffset',
      [RequestCode.UPDATE_CONSUMER_OFFSET],
      (limits) => consumer.commitOffset(QUEUE, 1n, limits),
    ],
    ['minOffset', [RequestCode.GET_MIN_OFFSET], (limits) => consumer.minOffset(QUEUE, limits)],
    ['maxOffset', [RequestCode.GET_MAX_OFFSET], (limits) => consumer.maxOffset(QUEUE, limits)],
    [
      'searchOffset',
      [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP],
      (limits) => consumer.searchOffset(QUEUE, 1, 'lower', limits),
    ],
    ['lock', [RequestCode.LOCK_BATCH_MQ], (limits) => consumer.lock([QUEUE], limits)],
    ['unlock', [RequestCode.UNLOCK_BATCH_MQ], (limits) => consumer.unlock([QUEUE], limits)],
    ['sendBack', [RequestCode.CONSUMER_SEND_MSG_BACK], (limits) => consumer.sendBack(first, limits)],
    [
      'pop',
      [RequestCode.POP_MESSAGE],
      async (limits) => {
        const { messages, undecodable } = await popper.pop('orders', limits)
        JSON.stringify([messages, undecodable])
        await popper.ack(messages, limits)
      },
    ],
    [
      'changeInvisibleDuration',
      [RequestCode.CHANGE_MESSAGE_INVISIBLETIME],
      (limits) => popper.changeInvisibleDuration({ topic: 'orders', receipt }, 1, limits),
    ],
    ['send', [RequestCode.SEND_MESSAGE_V2], (limits) => producer.send(outgoing, limits)],
    ['send with a timer', [RequestCode.SEND_MESSAGE_V2], (limits) => producer.send(timer, limits)],
    [
      'sendBatch',
      [RequestCode.SEND_BATCH_MESSAGE],
      (limits) => producer.sendBatch('orders', [outgoing, outgoing], limits),
    ],
    ['recall', [RequestCode.RECALL_MESSAGE], (limits) => producer.recall('orders', handle, limits)],
    ['begin', [RequestCode.SEND_MESSAGE_V2], (limits) => transactions.begin(outgoing, limits)],
    [
      'topics.describe',
      [RequestCode.GET_TOPIC_CONFIG, RequestCode.GET_BROKER_CLUSTER_INFO],
      (limits) => topics.describe('orders', limits),
    ],
    ['topics.list', [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER], (limits) => topics.list(limits)],
    ['topics.stats', [RequestCode.GET_TOPIC_STATS_INFO], (limits) => topics.stats('orders', limits)],
    [
      'topics.consumers',
      [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO],
      (limits) => topics.consumers('orders', limits),
    ],
    [
      'groups.describe',
      [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG],
      (limits) => groups.describe('billing', limits),
    ],
    ['groups.list', [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG], (limits) => groups.list(limits)],
    [
      'groups.members',
      [RequestCode.GET_CONSUMER_LIST_BY_GROUP],
      (limits) => groups.members('billing', limits),
    ],
    ['groups.stats', [RequestCode.GET_CONSUME_STATS], (limits) => groups.stats('billing', limits)],
    [
      'cluster.describe',
      [RequestCode.GET_BROKER_RUNTIME_INFO, RequestCode.GET_BROKER_CLUSTER_INFO],
      (limits) => cluster.describe(limits),
    ],
    ['cluster.config', [RequestCode.GET_BROKER_CONFIG], (limits) => cluster.config(limits)],
    [
      'offsets.plan',
      [RequestCode.GET_MAX_OFFSET, RequestCode.GET_MIN_OFFSET, RequestCode.QUERY_CONSUMER_OFFSET],
      (limits) =>
        offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: 'latest', ...limits } as never),
    ],
    [
      'messages.byKey',
      [RequestCode.QUERY_MESSAGE],
      async (limits) => JSON.stringify(await query.byKey('orders', 'k1', limits)),
    ],
    [
      'messages.byMessageId',
      [RequestCode.QUERY_MESSAGE],
      (limits) => query.byMessageId('orders', 'A'.repeat(32), limits),
    ],
  ]
  return calls.flatMap(([name, codes, call]) =>
    codes.map((code): Target => {
      const command = catalogue.get(code)
      if (!command) throw new Error(`the catalogue has no ${code}`)
      return {
        name: `${name}: answer of ${command.name}`,
        group: 'frames',
        shape: 'frame',
        seeds: sampleAnswers(command),
        async run(input) {
          const frame = wire.decodeFrame(input.subarray(4))
          answers.set(code, frame)
          try {
            const result = await call({ deadlineMs: Date.now() + CALL_MS })
            for (const each of [result].flat())
              if ((each as { error?: unknown } | undefined)?.error !== undefined)
                expect(
                  RocketMQError.is((each as { error: unknown }).error),
                  'an error that is not ours in a result',
                )
          } catch (error) {
            if (error instanceof PartialError)
              for (const { error: cause } of error.failed)
                expect(RocketMQError.is(cause), `${String(cause)} in a PartialError`)
            throw error
          } finally {
            answers.set(code, sound.get(code) as wire.Frame)
          }
        },
      }
    }),
  )
}

/** Which member is meant: any. */
function withoutClient(fields: Record<string, string>): Record<string, string> {
  const { clientId, ...others } = fields
  return clientId === undefined ? fields : others
}

/** What brokers ask of a member of a group, answered by `serve` and `check`. */
function requestTargets(): Target[] {
  const requests = [
    CheckTransactionState,
    NotifyConsumerIdsChanged,
    ResetConsumerClientOffset,
    GetConsumerRunningInfo,
    ConsumeMessageDirectly,
  ]
  const bodies: Readonly<Record<number, Buffer>> = {
    [CheckTransactionState.code]: MESSAGES,
    [ConsumeMessageDirectly.code]: MESSAGES,
    [ResetConsumerClientOffset.code]: Buffer.from(
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"orders"}:7}}',
    ),
  }
  const nobody = clientOfNobody()
  let serving: AbortController | undefined
  const begin = async (): Promise<void> => {
    serving = new AbortController()
    const { signal } = serving
    const handlers = {
      consumeDirectly: async (each: core.Message) => void JSON.stringify(each),
      resolve: async (each: core.Message): Promise<'commit' | 'unknown'> =>
        each.keys.length > 1 ? 'commit' : 'unknown',
    }
    // Until it is ended. What it has counted by then is thrown away.
    void core
      .serve(nobody.client, {
        consumerGroup: 'billing',
        producerGroup: 'shop',
        windowMs: 100_000_000,
        deadlineMs: Date.now() + 200_000_000,
        handlers,
        signal,
      })
      .catch(() => undefined)
    while (nobody.listeners.size < 2) await settled()
  }
  return requests.map((command) => ({
    name: `request ${command.name}`,
    group: 'frames',
    shape: 'frame',
    seeds: [
      Buffer.from(
        wire.encodeFrame({
          code: command.code,
          opaque: 1,
          ext: withoutClient(sampleFields(command.request)),
          body: bodies[command.code],
        }),
      ),
    ],
    async run(input) {
      const frame = wire.decodeFrame(input.subarray(4))
      if (!serving) await begin()
      for (const listener of nobody.listeners.values()) listener(frame)
      await settled()
    },
    end() {
      serving?.abort()
      serving = undefined
    },
  }))
}

// Bodies and text

function checkMessages(input: Buffer): void {
  const { messages, undecodable } = wire.decodeMessages(input, { maxBodyBytes: MAX_BODY_BYTES })
  // Each field is read only when it is asked for.
  for (const each of messages) {
    fieldsOf(each)
    expect(each.body.length <= Math.max(MAX_BODY_BYTES, each.storeSize), 'body above its limit')
  }
  for (const { reason } of undecodable) expect(reason instanceof RocketMQError, 'a reason that is not ours')
  const bytes = undecodable.reduce((sum, each) => sum + each.bytes.length, 0)
  expect(bytes <= input.length, 'more undecodable than input')
}

function wireTargets(): Target[] {
  const lz4 = ['one', 'one-bare', 'empty-content-size', 'period', 'zeros', 'zeros-linked'].map((file) =>
    readFileSync(join(import.meta.dirname, `../golden/lz4/${file}.lz4`)),
  )
  const plain = [Buffer.from('{"order":1}'), Buffer.alloc(2_000_000), Buffer.from('abcdefgh'.repeat(500))]
  const within =
    (decode: (input: Buffer) => Buffer): Target['run'] =>
    (input) =>
      expect(decode(input).length <= MAX_BODY_BYTES, 'output above its limit')
  const messages = [...hex('message-decode.json', 'hex'), MESSAGES]
  const receipts = text('pop-receipt.json', 'receipt', 'text', 'handle')
  const addresses = text('names.json', 'address')
  const ids = text('message-id.json', 'id')
  const header = (fields: object): Buffer[] => documents(sampleFields(fields as Record<string, string>))
  return [
    bytes('messages', messages, checkMessages, 40),
    bytes('messages within the usual limits', messages, (input) => wire.decodeMessages(input)),
    bytes('a stored message without its body', messages, decodeStored),
    bytes(
      'batch',
      hex('batch-encode.json', 'hex'),
      (input) => {
        for (const { properties } of wire.decodeBatch(input)) wire.decodeProperties(properties)
      },
      20,
    ),
    bytes(
      'lz4',
      lz4,
      within((input) => wire.decompressLz4(input, MAX_BODY_BYTES)),
      20,
    ),
    bytes(
      'lz4 body',
      lz4,
      within((input) => wire.decompress(wire.compressionType(wire.COMPRESSION_LZ4), input, MAX_BODY_BYTES)),
    ),
    bytes(
      'zlib body',
      plain.map((each) => deflateSync(each)),
      within((input) => wire.decompress(wire.COMPRESSION_ZLIB, input, MAX_BODY_BYTES)),
    ),
    bytes(
      'zstd body',
      plain.map((each) => zstdCompressSync(each)),
      within((input) => wire.decompress(wire.COMPRESSION_ZSTD, input, MAX_BODY_BYTES)),
    ),
    words('fastjson', text('fastjson-bodies.json', 'raw'), wire.parseFastjson, 20),
    {
      ...words('fastjson documents', text('fastjson-bodies.json', 'strict'), wire.parseFastjson),
      shape: 'json',
    },
    words('properties', text('properties.json', 'text'), wire.decodeProperties, 20),
    words('pop receipt', receipts, wire.parsePopReceipt),
    words('start offsets of a pop', receipts, wire.parseStartOffsetInfo),
    words('message offsets of a pop', receipts, wire.parseMsgOffsetInfo),
    words('order counts of a pop', receipts, wire.parseOrderCountInfo),
    words('ack bits', receipts, wire.parseAckBits),
    words('recall handle', receipts, wire.parseRecallHandle),
    words('offset message id', ids, wire.decodeOffsetMessageId),
    words('UNIQ_KEY', ids, wire.decodeUniqKey),
    words('address', addresses, wire.parseHost),
    words('VIP address', addresses, wire.vipAddress),
    words('tags', [Buffer.from('a || b'), Buffer.from('*')], wire.parseTagExpression),
    ...[...catalogue.values()].flatMap((command): Target[] => {
      const { name, request, response, wireNames, requestBody, responseBody } = command
      const fields = (what: string, of: object, names?: typeof wireNames): Target =>
        json(`${what} header of ${name}`, header(of), (value) =>
          decodeFields(name, of as never, textsOf(value), names),
        )
      const bodies = [
        ...sampleBodies(command),
        ...text('fastjson-bodies.json', 'strict').filter((_, index) => index % 7 === command.code % 7),
      ]
      const body = (what: string, codec: typeof requestBody): Target[] =>
        codec === noBody || codec === bytesBody
          ? []
          : [{ ...bytes(`${what} body of ${name}`, bodies, (input) => codec.decode(input)), shape: 'json' }]
      return [
        ...(Object.keys(request).length > 0 ? [fields('request', request, wireNames)] : []),
        ...(Object.keys(response).length > 0 ? [fields('answer', response)] : []),
        ...body('request', requestBody),
        ...body('answer', responseBody),
      ]
    }),
  ]
}

/** As a frame has its fields. */
const textsOf = (value: unknown): Record<string, string> =>
  Object.assign(
    Object.create(null),
    Object.fromEntries(
      Object.entries(Object(value)).map(([name, member]) => [
        name,
        typeof member === 'object' ? '{}' : String(member as string | number | boolean),
      ]),
    ),
  )

function clientTargets(): Target[] {
  const sent = documents(new SendResult('SEND_OK', 'A', 'B', QUEUE, 7n, 'handle'))
  const pulled = documents({
    status: 'FOUND',
    messages: [message()],
    undecodable: [{ queueOffset: '3', reason: 'none', bytes: 'AAAA' }],
    nextBeginOffset: '3',
    minOffset: '0',
    maxOffset: '9',
    suggestedBrokerId: 0,
  })
  const subscription = {
    topic: 'orders',
    subString: '*',
    expressionType: 'TAG',
    tagsSet: ['a'],
    codeSet: [97],
    subVersion: '1',
  }
  const group = {
    groupName: 'billing',
    consumeType: 'CONSUME_ACTIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptionDataSet: [subscription],
  }
  const reset = {
    consumerGroup: 'billing',
    queues: [{ queue: QUEUE, from: '1', to: '2', minOffset: '0', maxOffset: '9' }],
  }
  return [
    json('messageFromJson', documents(message()), (value) => JSON.stringify(core.messageFromJson(value))),
    json('messageQueueFromJson', documents(QUEUE), core.messageQueueFromJson),
    json('sendResultFromJson', sent, (value) => JSON.stringify(core.sendResultFromJson(value))),
    json('pullResultFromJson', pulled, (value) => JSON.stringify(core.pullResultFromJson(value))),
    json('producerDataFromJson', documents({ groupName: 'shop' }), core.producerDataFromJson),
    json('consumerDataFromJson', documents(group), core.consumerDataFromJson),
    json('subscriptionDataFromJson', documents(subscription), core.subscriptionDataFromJson),
    json('resetPlanFromJson', documents(reset), core.resetPlanFromJson),
  ]
}

const TRANSACTION = {
  version: 1,
  producerGroup: 'shop',
  topic: 'orders',
  messageId: 'A'.repeat(32),
  brokerName: 'broker-a',
  queueOffset: '0',
  commitLogOffset: '0',
  begunAt: 4_000_000_000_000, // never too old
} as const

/** A handler's answer must be a response that is no 500, and a direct invocation fails with an error of ours. */
async function checkHttp(answer: Promise<unknown>): Promise<void> {
  const { statusCode, body, ...rest } = (await answer) as { statusCode?: number; body?: string }
  if (statusCode === undefined) return
  expect(statusCode !== 500, `answered 500: ${body}`)
  JSON.parse(body ?? '', undefined)
  JSON.stringify(rest)
}

function functionTargets(): Target[] {
  const { client } = clientOfNobody()
  const seal = { secrets: [TOKEN_SECRET], maxAgeMs: 60_000 }
  const token = sealTransaction(seal, TRANSACTION)
  const publish = publisher({
    topics: { orders: { properties: ['a', 'b'] } },
    producerGroup: 'shop',
    transactions: {},
    client,
  })
  const end = transactionEnder({ topics: ['orders'], producerGroup: 'shop', client })
  const endSealed = transactionEnder({
    topics: ['orders'],
    producerGroup: 'shop',
    secret: TOKEN_SECRET,
    maxAgeMs: seal.maxAgeMs,
    client,
  })
  const context = (): ReturnType<typeof lambdaContext> => lambdaContext({ remainingMs: 639 })
  const headers = {
    'content-type': 'application/json',
    'idempotency-key': '"k"',
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  }
  const post = (path: string, body: unknown): object => ({ ...httpEvent('POST', path, body), headers })
  const one = { body: { n: 1 }, tag: 'a', keys: ['k'], properties: { a: 'x' }, delayLevel: 3 }
  const many = {
    messages: [
      one,
      { body: 'YQ==', isBase64Encoded: true },
      { body: 'x', deliverAt: '2026-01-01T00:00:00Z', messageId: 'm' },
    ],
  }
  const requests = documents(
    post('/topics/orders/messages', one),
    post('/topics/orders/messages', many),
    post('/topics/orders/transactions', { body: 'x' }),
    { topic: 'orders', ...one },
    { topic: 'orders', ...many },
    { topic: 'orders', begin: { body: 'x' } },
  )
  const ends = (transaction: unknown): Buffer[] =>
    documents(post('/transactions/commit', { transaction }), { transaction, outcome: 'rollback' })
  /** The body of an HTTP event alone, so that what is in it is changed as a document. */
  const bodyOf =
    (handle: typeof publish, path: string): ((input: Buffer) => Promise<void>) =>
    async (input) => {
      await checkHttp(handle(post(path, input.toString()) as never, context()))
    }
  const mappings = documents({
    orders: {
      topic: 'orders',
      consumerGroup: 'billing',
      batchSize: 10,
      filter: 'a || b',
      startingPosition: 'AT_TIMESTAMP',
      startingPositionTimestamp: '2026-01-01',
    },
    other: {
      topic: 'other',
      consumerGroup: 'g2',
      filter: { sql: 'a > 1' },
      onFailure: 'block',
      retryLevels: [1, 2],
      target: { functionName: 'f', qualifier: 'live' },
    },
  })
  const batch = [message({ queueOffset: 1n, uniqKey: 'A' }), message({ queueOffset: 2n, uniqKey: 'B' })]
  const responses = documents(
    { batchItemFailures: [{ itemIdentifier: 'A' }, { itemIdentifier: 'orders/broker-a/0/2' }] },
    { batchItemFailures: [{ itemIdentifier: { partition: 'orders-0', offset: 1 } }] },
    null,
  )
  const source = resolveEventSource(
    { topic: 'orders', consumerGroup: 'billing', target: { functionName: 'f' } },
    'orders',
  )
  const answering = (answer: object): LambdaApi => ({ send: async () => answer })
  const signal = new AbortController().signal
  const schema: StandardSchema = {
    '~standard': {
      version: 1,
      vendor: 'fuzz',
      validate: (value) =>
        Object(value) === value ? { value } : { issues: [{ message: 'no', path: ['a'] }] },
    },
  }
  return [
    json('publish event', requests, (event) => checkHttp(publish(event as never, context()))),
    {
      ...bytes('publish body', documents(one, many), bodyOf(publish, '/topics/orders/messages')),
      shape: 'json',
    },
    json('end event', ends(TRANSACTION), (event) => checkHttp(end(event as never, context()))),
    {
      ...bytes(
        'end body',
        documents({ transaction: TRANSACTION }),
        bodyOf(end as never, '/transactions/commit'),
      ),
      shape: 'json',
    },
    json('signed end event', ends(token), (event) => checkHttp(endSealed(event as never, context()))),
    words(
      'transaction token',
      [Buffer.from(token)],
      async (transaction) => await endSealed({ transaction, outcome: 'commit' }, context()),
    ),
    json(
      'worker payload',
      documents({ version: 1, eventSource: 'orders', queues: [QUEUE], continuation: 1 }),
      readWorkerPayload,
    ),
    { ...words('mappings', mappings, parseEventSources), shape: 'json' },
    ...(['rocketmq', 'kafka', 'sqs'] as const).flatMap((name): Target[] => [
      json(`response to ${name}`, responses, async (value) =>
        readBatchResponse(value, batch, (await loadFormat(name)).identifiers),
      ),
      bytes(`${name} event`, [MESSAGES, ...hex('message-decode.json', 'hex')], async (input) => {
        const { createEvent, misfit } = await loadFormat(name)
        const messages = wire
          .decodeMessages(input, { maxBodyBytes: MAX_BODY_BYTES })
          .messages.map((each) => messageOf(each, 'broker-a', (topic) => topic))
          .filter((each) => misfit?.(each) === undefined)
        const recordIdOf = (): string => 'id'
        const event = createEvent(messages, {
          recordIdOf,
          bootstrapServers: ['a:1'],
          consumerGroup: 'billing',
          context: context(),
          parsed: new WeakMap(),
        })
        JSON.stringify(event)
      }),
    ]),
    words('answer of a target', responses, async (answer) => {
      const invoker = createInvoker(answering({ Payload: Buffer.from(answer) }))
      return readBatchResponse(
        await targetHandler(source, invoker)({ records: {} } as never, context(), { signal } as never),
        batch,
      )
    }),
    words('failure of a target', documents({ errorType: 'E', errorMessage: 'm' }), async (answer) => {
      try {
        await createInvoker(answering({ FunctionError: 'Unhandled', Payload: Buffer.from(answer) })).call(
          { functionName: 'f' },
          Buffer.from('{}'),
          signal,
        )
      } catch (error) {
        targetVerdict(error)
        throw error
      }
    }),
    words('secret', documents({ accessKey: 'a', secretKey: 'b', securityToken: 'c' }), async (SecretString) =>
      readCredentials(
        'id',
        { send: async () => ({ SecretString }) },
        (what) => new core.ConfigError('credentials()', what),
      ),
    ),
    bytes('body that a schema checks', documents({ a: 1 }), async (body) => validate(schema, { body })),
  ]
}

/** All of them; the ones of frames first. */
export function allTargets(): Target[] {
  return [
    ...frameTargets(),
    ...answerTargets(),
    ...requestTargets(),
    ...wireTargets(),
    ...clientTargets(),
    ...functionTargets(),
  ]
}
