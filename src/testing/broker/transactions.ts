/**
 * Half messages and the checks of what became of them (upstream TransactionalMessageServiceImpl). They stand in a topic of
 * the broker's own. A round every `transactionCheckInterval` goes on there where the last one stopped: it passes over what
 * was ended, stores again what is old enough, behind the others, and asks a producer about the new copy. That every check
 * makes another copy, in another place, is why a late end may deliver twice.
 */
import { encodeFields } from '../../commands/define.ts'
import { CheckTransactionState } from '../../commands/transaction.ts'
import { TRANSACTION_ROLLBACK } from '../../wire/flags.ts'
import { FLAG_ONEWAY } from '../../wire/frame.ts'
import { hostBytes } from './connection.ts'
import type { BrokerNode } from './node.ts'
import { formatProperties, type NewMessage, type Properties, readRecord, withTopic } from './record.ts'
import type { Appended } from './store.ts'
import { ENDS_TOPIC, HALF_TOPIC } from './topics.ts'

export interface TransactionSettings {
  /** Ms between two rounds. */
  transactionCheckInterval: number
  /** Ms from the birth of a half message to its first check. */
  transactionTimeOut: number
  /** Checks before it is given up. */
  transactionCheckMax: number
}

/** Where half messages go that are asked about no more. */
const GIVEN_UP_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC'
const CHECK_TIMES = 'TRANSACTION_CHECK_TIMES'
const IMMUNITY = 'CHECK_IMMUNITY_TIME_IN_SECONDS'
/** Of a copy made during the immunity time: the offset of the first one. */
const FIRST_OFFSET = 'TRAN_PREPARED_QUEUE_OFFSET'
/** As long as a broker keeps its files. */
const KEEP_MS = 72 * 3_600_000
/** Ends are noted for the rounds so often (transactionOpBatchInterval); a round in between does not know of them. */
const NOTE_MS = 3_000

export class Transactions {
  readonly #node: BrokerNode
  /** Offset in the half queue at which the next round begins. */
  #next = 0
  /** Offsets of half messages that are known to have ended. */
  readonly #ended = new Set<number>()
  #notNoted: number[] = []
  #startedAt = 0
  #cancelRound: (() => void) | undefined
  #cancelNote: (() => void) | undefined

  constructor(node: BrokerNode) {
    this.#node = node
  }

  /** The broker is there (again). */
  restart(): void {
    this.#startedAt = this.#node.clock.now()
    this.#planRound()
  }

  /** The broker is gone, and what was not noted with it: those half messages are asked about. */
  clear(): void {
    this.#cancelRound?.()
    this.#cancelNote?.()
    this.#cancelRound = this.#cancelNote = undefined
    this.#notNoted = []
  }

  /** Stores a half message; gives where. */
  begin(
    { topic, queueId, ...message }: Omit<NewMessage, 'properties'>,
    properties: Properties,
  ): ReturnType<BrokerNode['put']> {
    Object.assign(properties, { REAL_TOPIC: topic, REAL_QID: String(queueId) })
    if (properties['UNIQ_KEY']) properties['__transactionId__'] = properties['UNIQ_KEY']
    const sysFlag = message.sysFlag & ~TRANSACTION_ROLLBACK
    const stored = this.#node.put({ ...message, topic: HALF_TOPIC, queueId: 0, sysFlag }, properties)
    this.#planRound()
    return stored
  }

  /** A half message was committed or rolled back: rounds to come pass over it. */
  end(offset: number): void {
    this.#notNoted.push(offset)
    this.#cancelNote ??= this.#every(NOTE_MS, () => {
      this.#cancelNote = undefined
      for (const each of this.#notNoted) this.#ended.add(each)
      this.#list(this.#notNoted)
      this.#notNoted = []
    })
  }

  /** As others read it: a batch of offsets for each time that ends are noted. */
  #list(offsets: readonly number[]): void {
    const message = {
      topic: ENDS_TOPIC,
      queueId: 0,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: BigInt(this.#node.clock.now()),
      bornHost: hostBytes(this.#node.server.address),
      reconsumeTimes: 0,
      body: Buffer.from(offsets.map((offset) => `${offset},`).join('')),
    }
    this.#node.put(message, { TAGS: 'd' })
  }

  /** Until when a half message must be ended by who began it, as its property says: ms from its birth. */
  immunityMs({ [IMMUNITY]: own }: Properties): number | undefined {
    if (own === undefined) return undefined
    const seconds = /^[+-]?\d+$/.test(own) ? Number(own) : -1
    return seconds === -1 ? this.#node.settings.transactionTimeOut : seconds * 1000
  }

  /** At the next multiple of `ms` from the start on. */
  #every(ms: number, run: () => void): () => void {
    const { clock } = this.#node
    const past = clock.now() - this.#startedAt
    return clock.at(this.#startedAt + (Math.floor(past / ms) + 1) * ms, run)
  }

  /** As long as there is nothing to look at there are no rounds. */
  #planRound(): void {
    if (this.#cancelRound || this.#next >= (this.#queue?.max ?? 0)) return
    this.#cancelRound = this.#every(this.#node.settings.transactionCheckInterval, () => {
      this.#cancelRound = undefined
      this.#round()
      this.#planRound()
    })
  }

  get #queue(): ReturnType<BrokerNode['store']['queue']> {
    return this.#node.store.queue(HALF_TOPIC, 0)
  }

  #round(): void {
    const queue = this.#queue
    if (!queue) return
    const now = this.#node.clock.now()
    // An end that came after its half message had been passed over is forgotten.
    for (const offset of this.#ended) if (offset < this.#next) this.#ended.delete(offset)
    let offset = Math.max(this.#next, queue.min)
    while (offset < queue.max && (this.#ended.delete(offset) || this.#look(offset, now))) offset++
    this.#next = offset
  }

  /** Does what is due for one half message; false: it is too young, and the round ends before it. */
  #look(offset: number, now: number): boolean {
    const { store, settings } = this.#node
    const queue = this.#queue
    if (!queue) return false
    const {
      properties,
      storeTimestamp,
      position: _,
      queueOffset: __,
      ...message
    } = readRecord(store.recordAt(queue, offset))
    const age = now - Number(message.bornTimestamp)
    const times = properties[CHECK_TIMES]
    const isLast = times !== undefined && Number(times) >= settings.transactionCheckMax
    if (!isLast) properties[CHECK_TIMES] = String(Number(times ?? 0) + 1)
    // First of all: the copy that the last check has made goes in the same round.
    if (isLast || age > KEEP_MS) {
      this.#store({ ...message, topic: this.#node.topics.ensure(GIVEN_UP_TOPIC, 1).topicName }, properties)
      return true
    }
    if (storeTimestamp >= now) return false
    const immunityMs = this.immunityMs(properties)
    if (immunityMs === undefined && age >= 0 && age < settings.transactionTimeOut) return false
    // Neither flag nor reconsumeTimes are in a copy.
    const copy = { ...message, flag: 0, reconsumeTimes: 0 }
    if (immunityMs !== undefined && age < immunityMs) {
      const first = properties[FIRST_OFFSET] ?? String(offset)
      if (!this.#ended.delete(Number(first))) this.#store(copy, { ...properties, [FIRST_OFFSET]: first })
      return true
    }
    this.#ask(this.#store(copy, properties), properties)
    return true
  }

  #store(message: Omit<NewMessage, 'properties'>, properties: Properties): Appended {
    return this.#node.putAsIs({ ...message, properties: formatProperties(properties) }, properties['TAGS'])
  }

  /** Asks one member of the producer group; when there is none, the check counts all the same. */
  #ask({ position, queueOffset }: Appended, properties: Properties): void {
    const { members, store, brokerName } = this.#node
    const { UNIQ_KEY: msgId, PGROUP = '', REAL_TOPIC = '', REAL_QID } = properties
    const producer = members.nextProducer(PGROUP)
    const record = store.record(position)
    if (!producer || !record) return
    const body = withTopic(record, REAL_TOPIC, formatProperties(properties))
    body.writeInt32BE(Number(REAL_QID), 12)
    const { code, name, request } = CheckTransactionState
    const ext = encodeFields(name, request, {
      topic: HALF_TOPIC,
      tranStateTableOffset: BigInt(queueOffset),
      commitLogOffset: BigInt(position),
      msgId,
      transactionId: msgId,
      offsetMsgId: this.#node.offsetMessageId(position),
      bname: brokerName,
    })
    producer.tell({ code, flag: FLAG_ONEWAY, ext, body })
  }
}
