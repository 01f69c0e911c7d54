/**
 * Whether a transaction was ended before (protocol.md 12). Brokers do not ask that themselves: they commit what was rolled
 * back, and commit again. But it can be read there: what was committed stands in its topic under its UNIQ_KEY, and what was
 * ended in any way is listed by its offset in the topic by which the rounds of checks know of ends, up to 3 s later.
 * Upstream: TransactionalMessageServiceImpl.fillOpRemoveMap reads the same list.
 */
import type { Command } from '../commands/define.ts'
import { QueryMessage } from '../commands/messages.ts'
import { SearchOffsetByTimestamp } from '../commands/offsets.ts'
import { PULL_SUBSCRIPTION, PullMessage } from '../commands/pull.ts'
import { BrokerError, DeadlineError } from '../errors.ts'
import { type Deadline, isOver, pause } from '../net/deadline.ts'
import { TRANSACTION_COMMIT, TRANSACTION_ROLLBACK } from '../wire/flags.ts'
import { decodeMessages, type StoredMessage } from '../wire/message.ts'
import type { Client } from './client.ts'
import type { Transaction } from './transaction.ts'

export type Ended = 'committed' | 'rolledBack'

const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
/** Its messages hold offsets of half messages, each with a comma behind it. */
const ENDS_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC'
/** A group that every broker has, so that reading the list makes none. */
const READER_GROUP = 'TOOLS_CONSUMER'
/** How far the clocks of function and broker may be apart, in ms. The index itself counts in seconds. */
const SKEW_MS = 3_600_000
/** How much earlier than it was begun, by the clock of who began it, the list is read from; mostly clocks are closer. */
const EARLY_MS = 1_000
/** The index is behind the log, mostly by some ms, and brokers may have none. */
const INDEX_MS = 50
const INDEX_TRIES = 10
const MOST_MESSAGES = 32
const UNKNOWN_TOPIC = 17

/** @throws what keeps it from being known, such as permissions that are missing */
export const findEnd = async (
  client: Client,
  { topic, brokerName, messageId, queueOffset, begunAt }: Transaction,
  deadline: Deadline,
): Promise<Ended | undefined> => {
  /** All of it is on the broker that has the half message; any of its topics leads there. */
  const ask = <Q, S, SB>(command: Command<Q, S, undefined, SB>, request: Q) =>
    client.callQueue({ topic, brokerName, queueId: 0 }, command, request, undefined, { deadline })

  const find = async (storedTopic: string): Promise<StoredMessage[]> => {
    const { body } = await ask(QueryMessage, {
      topic: storedTopic,
      key: messageId,
      maxNum: MOST_MESSAGES,
      beginTimestamp: BigInt(Math.max(0, begunAt - SKEW_MS)),
      endTimestamp: BigInt(Date.now() + SKEW_MS),
      _UNIQUE_KEY_QUERY: true,
    })
    // The index is by hash.
    return decodeMessages(body).messages.filter(({ properties }) => properties['UNIQ_KEY'] === messageId)
  }

  const isCommitted = async (): Promise<boolean> => (await find(client.wrap(topic))).some(isCommit)

  /** The half message, and the copies that checks have made of it. */
  const findHalves = async (): Promise<StoredMessage[]> => {
    for (let tries = 0; ; tries++) {
      const halves = await find(HALF_TOPIC)
      if (halves.some((half) => String(half.queueOffset) === queueOffset)) return halves
      if (tries === INDEX_TRIES || isOver(deadline))
        throw new DeadlineError('no such half message is indexed')
      await pause(INDEX_MS, deadline)
    }
  }

  const list = { topic: ENDS_TOPIC, queueId: 0 }

  const search = async (timestamp: bigint): Promise<bigint> =>
    (await ask(SearchOffsetByTimestamp, { ...list, timestamp, boundaryType: 'lower' })).header.offset

  const isListed = async (): Promise<boolean> => {
    const early = BigInt(Math.max(0, begunAt - EARLY_MS))
    // At once with the half message, which has the time of the broker: it tells whether that was early enough.
    const found = search(early)
    found.catch(() => undefined) // it is awaited below
    const halves = await findHalves()
    const offsets = new Set(halves.filter(isCopy).map((half) => String(half.queueOffset))).add(queueOffset)
    const since = halves.reduce((least, { storeTimestamp: at }) => (at < least ? at : least), 1n << 62n)
    let offset = await (early <= since ? found : search(since))
    for (;;) {
      const { header, body } = await ask(PullMessage, {
        ...list,
        consumerGroup: READER_GROUP,
        queueOffset: offset,
        maxMsgNums: MOST_MESSAGES,
        sysFlag: PULL_SUBSCRIPTION,
        subscription: '*',
        expressionType: 'TAG',
      })
      for (const { body: ended } of decodeMessages(body).messages)
        if (
          ended
            .toString('latin1')
            .split(',')
            .some((each) => offsets.has(each))
        )
          return true
      const isEnd = header.nextBeginOffset >= header.maxOffset || header.nextBeginOffset <= offset
      if (isEnd) return false
      offset = header.nextBeginOffset
    }
  }

  const [committed, listed] = await Promise.allSettled([isCommitted(), isListed().catch(noneListed)])
  if (committed.status === 'rejected') throw committed.reason
  if (committed.value) return 'committed'
  if (listed.status === 'rejected') throw listed.reason
  if (!listed.value) return undefined
  // It may have been committed in between.
  return (await isCommitted()) ? 'committed' : 'rolledBack'
}

/** The topic comes with the first end. */
const noneListed = (error: unknown): boolean => {
  if (error instanceof BrokerError && error.responseCode === UNKNOWN_TOPIC) return false
  throw error
}

const isCommit = ({ sysFlag }: StoredMessage): boolean =>
  (sysFlag & TRANSACTION_ROLLBACK) === TRANSACTION_COMMIT

const isCopy = ({ properties }: StoredMessage): boolean => properties['TRANSACTION_CHECK_TIMES'] !== undefined
