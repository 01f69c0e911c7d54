import { deepStrictEqual, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NewMessage } from '../../../../src/testing/broker/record.ts'
import { MessageStore } from '../../../../src/testing/broker/store.ts'
import { decodeMessages } from '../../../../src/wire/message.ts'

const STORE_HOST = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])
const everything = (): boolean => true

function message(topic: string, body: string | Buffer): NewMessage {
  return {
    topic,
    queueId: 0,
    flag: -7,
    sysFlag: 0,
    bornTimestamp: 1_234n,
    bornHost: Buffer.from([127, 0, 0, 1, 0, 0, 0, 80]),
    reconsumeTimes: 2,
    body: Buffer.from(body),
    properties: 'TAGS\u0001t\u0002mine\u0001ü\u0002',
  }
}

describe('the store of the local broker', () => {
  it('gives messages back as they were, also under a topic that needs the second form', () => {
    const store = new MessageStore(16 << 20, () => 2_000_000_000_000, STORE_HOST)
    const long = `%RETRY%${'g'.repeat(140)}`
    for (const topic of ['t', long]) store.append(message(topic, 'grüße'), 't')
    const decoded = ['t', long].flatMap(
      (topic) => decodeMessages(Buffer.concat([...store.records(topic)])).messages,
    )
    deepStrictEqual(
      decoded.map(
        ({
          topic,
          body,
          flag,
          bornTimestamp,
          bornHost,
          storeHost,
          storeTimestamp,
          reconsumeTimes,
          properties,
        }) => [
          topic,
          body.toString(),
          flag,
          bornTimestamp,
          bornHost,
          storeHost,
          storeTimestamp,
          reconsumeTimes,
          { ...properties },
        ],
      ),
      ['t', long].map((topic) => [
        topic,
        'grüße',
        -7,
        1_234n,
        '127.0.0.1:80',
        '127.0.0.1:10911',
        2_000_000_000_000n,
        2,
        { TAGS: 't', mine: 'ü' },
      ]),
    )
  })

  it('lets the oldest messages go beyond its limit, and moves the begin of the queues', () => {
    const store = new MessageStore(16 << 20, () => 1, STORE_HOST)
    const places = Array.from({ length: 40 }, () =>
      store.append(message('t', Buffer.alloc(1 << 20)), undefined),
    )
    const queue = store.queue('t', 0)
    ok(queue && queue.min > 0)
    deepStrictEqual([queue.max, store.record(places[0]?.position ?? 0)], [40, undefined])
    deepStrictEqual(store.read('t', 0, 0n, 32, everything).status, 'OFFSET_TOO_SMALL')
    const { status, next, records } = store.read('t', 0, BigInt(queue.min), 32, everything)
    deepStrictEqual([status, next, records.length], ['FOUND', queue.min + 1, 1])
    deepStrictEqual([...store.records('t')].length, 40 - queue.min)
  })

  it('finds no record where none starts', () => {
    const store = new MessageStore(16 << 20, () => 1, STORE_HOST)
    const { position } = store.append(message('t', 'body'), undefined)
    deepStrictEqual(
      [position + 1, position + 36, position + 10_000, -1].map((each) => store.record(each)),
      [undefined, undefined, undefined, undefined],
    )
  })

  it('searches by time from either side', () => {
    const times = [10, 20, 20, 30]
    let now = 0
    const store = new MessageStore(16 << 20, () => now, STORE_HOST)
    for (const time of times) {
      now = time
      store.append(message('t', 'x'), undefined)
    }
    const at = [5, 10, 15, 20, 25, 30, 35]
    deepStrictEqual(
      [
        at.map((time) => store.search('t', 0, time, false)),
        at.map((time) => store.search('t', 0, time, true)),
      ],
      [
        [0, 0, 1, 1, 3, 3, 4],
        [0, 0, 0, 2, 2, 3, 3],
      ],
    )
  })

  it('scans 801 entries for a tag in one read, and says where it stopped', () => {
    const store = new MessageStore(16 << 20, () => 1, STORE_HOST)
    for (let n = 0; n < 1_000; n++) store.append(message('t', 'x'), n === 999 ? 'wanted' : 'other')
    const none = store.read('t', 0, 0n, 32, (tag) => tag !== -1 && tag === 0)
    deepStrictEqual([none.status, none.next], ['NO_MATCHED_MESSAGE', 801])
  })

  it('wants room for two segments', () => {
    throws(() => new MessageStore(1 << 20, () => 1, STORE_HOST), {
      code: 'RMQ_CONFIG',
      field: 'retentionBytes',
    })
  })
})
