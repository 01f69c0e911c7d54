/** Messages and records as a pull gives them, for tests of what is made of them. */
import { Message } from '../../src/client/values.ts'
import { RocketMQRecord } from '../../src/lambda/event.ts'

export interface MessageFacts {
  topic?: string
  queueId?: number
  queueOffset?: bigint
  uniqKey?: string
  body?: Buffer
  reconsumeTimes?: number
  /** @default of 2023 */
  bornTimestamp?: bigint
  properties?: Record<string, string>
}

export function message(facts: MessageFacts = {}): Message {
  const {
    topic = 'orders',
    queueId = 0,
    queueOffset = 0n,
    uniqKey = 'ID',
    body = Buffer.from('{"a":1}'),
    reconsumeTimes = 0,
    bornTimestamp = 1_700_000_000_000n,
  } = facts
  const stored = {
    storeSize: 200,
    magic: -626_843_481,
    bodyCrc: 0,
    queueId,
    flag: 0,
    queueOffset,
    commitLogOffset: 4_096n,
    sysFlag: 0,
    bornTimestamp,
    bornHost: '10.0.0.1:50000',
    storeTimestamp: 1_700_000_000_007n,
    storeHost: '10.0.0.2:10911',
    reconsumeTimes,
    preparedTransactionOffset: 0n,
    topic,
    body,
    properties: Object.assign(Object.create(null), { UNIQ_KEY: uniqKey, ...facts.properties }) as Record<
      string,
      string
    >,
    offsetMessageId: '0A00000200002A9F0000000000001000',
  }
  return new Message(stored, { topic, brokerName: 'broker-a', queueId }, (name) => name)
}

export function record(facts: MessageFacts = {}): RocketMQRecord {
  return new RocketMQRecord(message(facts))
}
