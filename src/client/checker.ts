/**
 * Answering the checks of a producer group for a while (protocol.md 12.3, 13; upstream TransactionMQProducer, without its
 * resident heartbeat): connect to every master, be registered there, answer what is asked, leave. Nothing goes on
 * afterwards: a function that is frozen would promise answers that it does not give.
 */
import { decodeFields } from '../commands/define.ts'
import {
  CheckTransactionState,
  type CheckTransactionStateRequest,
  EndTransaction,
} from '../commands/transaction.ts'
import { type CallOptions, type Deadline, isOver } from '../net/deadline.ts'
import { checkChoice, checkInt, refuse } from '../wire/checks.ts'
import type { Frame } from '../wire/frame.ts'
import { decodeMessages } from '../wire/message.ts'
import type { Master } from './admin/masters.ts'
import type { Client } from './client.ts'
import { checkKeys } from './options.ts'
import { createMessageId } from './outgoing.ts'
import { END_CODES, type TransactionOutcome, told } from './transactor.ts'
import { type Message, messageOf } from './values.ts'
import { callUser, openWindow, type Unreachable, windowTimes } from './window.ts'

/** Says from durable state what became of a transaction. The signal fires when the answer comes too late. */
export type Resolve = (
  message: Message,
  context: { signal: AbortSignal; checks: number },
) => Promise<TransactionOutcome | 'unknown'>

export interface ResolveOptions extends CallOptions {
  resolve: Resolve
  /** How long one call of `resolve` may take, in ms. One that takes longer counts as failed. @default 10000 */
  resolveTimeoutMs?: number | undefined
}

export interface CheckOptions extends ResolveOptions {
  /**
   * How long to be there, in ms. Longer than the broker's `transactionCheckInterval`, so that a round falls into it.
   * Shortened so that it ends a second before `deadlineMs`. @default 35000: the interval is 30 s as shipped
   */
  windowMs?: number | undefined
  /** How many calls of `resolve` may run at once. @default 10 */
  concurrency?: number | undefined
}

/** A transaction that was asked about. */
export interface CheckedTransaction {
  messageId: string
  /** Empty where the message made no sense. */
  topic: string
  brokerName: string
  /** How often its broker has asked, or found nobody to ask. */
  checks: number
}

export interface CheckResult {
  resolved: { committed: CheckedTransaction[]; rolledBack: CheckedTransaction[] }
  /** `resolve` said so, or there was no time left to ask it. */
  unknown: CheckedTransaction[]
  /** `resolve` failed or took too long, or its answer did not reach the broker. Asked again in the next round. */
  failed: (CheckedTransaction & { error: unknown })[]
  /** Of those that stay open the one with the most checks: brokers give up after 15, unless set otherwise. */
  nearestToLast?: CheckedTransaction
  /** Masters that could not be reached, or not all of the time: nobody answers their checks. */
  unreachable: Unreachable[]
}

const UNKNOWN = 'unknown'

/** One transaction of one broker, over all of its checks in this window. */
interface Case {
  master: Master
  header: CheckTransactionStateRequest
  about: CheckedTransaction
  /** Absent where it made no sense. */
  message?: Message
  state: 'waiting' | 'asked' | 'committed' | 'rolledBack' | 'unknown' | 'failed'
  error?: unknown
}

export const checkResolveOptions = (
  what: string,
  options: ResolveOptions,
  known: readonly string[],
): void => {
  checkKeys(what, options, ['resolve', 'resolveTimeoutMs', 'signal', 'deadlineMs', ...known])
  if (typeof options.resolve !== 'function') refuse('resolve', 'takes a function')
  checkInt('resolveTimeoutMs', options.resolveTimeoutMs ?? 1, 1)
}

/** Calls `resolve`, for no longer than it may take. @throws what it throws, ConfigError for another answer, TimeoutError */
export const askResolver = async (
  { resolve, resolveTimeoutMs = 10_000 }: ResolveOptions,
  message: Message,
  checks: number,
  deadline: Deadline,
): Promise<TransactionOutcome | 'unknown'> => {
  const what = `resolve() of ${message.messageId}`
  const answer: unknown = await callUser(what, resolveTimeoutMs, deadline, (signal) =>
    resolve(message, { signal, checks }),
  )
  return checkChoice('resolve()', answer, 'commit', 'rollback', UNKNOWN)
}

/** Answers the checks of `group` (as it is sent) for a while. */
export const checkTransactions = async (
  client: Client,
  group: string,
  options: CheckOptions,
): Promise<CheckResult> => {
  checkResolveOptions('check', options, ['windowMs', 'concurrency'])
  const { windowMs = 35_000, concurrency = 10, resolveTimeoutMs = 10_000, deadlineMs, signal } = options
  checkInt('windowMs', windowMs, 1)
  checkInt('concurrency', concurrency, 1)
  const { network } = client
  const times = windowTimes(client, { signal, deadlineMs }, windowMs, resolveTimeoutMs)
  const { deadline } = times

  const clientID = createMessageId()
  const cases = new Map<string, Case>()
  const waiting: Case[] = []
  const working = new Set<Promise<void>>()
  let isOpen = true

  /** The end of the newest copy: those before it are passed over by rounds, and need none. */
  const tell = async ({ master, header, about }: Case, outcome: TransactionOutcome): Promise<void> => {
    const request = {
      topic: client.wrap(about.topic),
      producerGroup: group,
      tranStateTableOffset: header.tranStateTableOffset,
      commitLogOffset: header.commitLogOffset,
      commitOrRollback: END_CODES[outcome],
      fromTransactionCheck: true,
      msgId: about.messageId,
      transactionId: about.messageId,
    }
    await told(network.call(master.address, EndTransaction, request, undefined, { deadline }))
  }

  /**
   * A round that did not know of the end has made another copy. The end was done: a rollback takes the copy away, and
   * delivers nothing again. When it fails, a check of the next round tries again.
   */
  const takeAway = (each: Case): Promise<void> => tell(each, 'rollback').catch(() => undefined)

  const settle = async (each: Case, message: Message): Promise<void> => {
    each.state = 'asked'
    try {
      const answer = await askResolver(options, message, each.about.checks, deadline)
      const { header } = each
      if (answer !== UNKNOWN) await tell(each, answer)
      each.state = answer === 'commit' ? 'committed' : answer === 'rollback' ? 'rolledBack' : UNKNOWN
      if (each.header !== header && answer !== UNKNOWN) await takeAway(each)
    } catch (error) {
      each.state = 'failed'
      each.error = error
    }
  }

  /** Begins as many as may run. */
  const work = (): void => {
    while (working.size < concurrency) {
      const next = isOver(deadline) ? undefined : waiting.shift()
      if (!next?.message) return
      const running: Promise<void> = settle(next, next.message).then(() => {
        working.delete(running)
        if (isOpen) work()
      })
      working.add(running)
    }
  }

  const onCheck = (master: Master, frame: Frame): boolean => {
    if (frame.code !== CheckTransactionState.code) return false
    const asked = readCheck(client, master, frame)
    if (!asked || (asked.message?.systemProperties['PGROUP'] ?? group) !== group) return false
    const key = `${master.brokerName} ${asked.about.messageId}`
    const known = cases.get(key)
    if (!known) {
      cases.set(key, asked)
      if (asked.message) waiting.push(asked)
      work()
      return true
    }
    const { header, about } = asked
    Object.assign(known, { header, about })
    if (known.message && (known.state === 'failed' || known.state === 'unknown')) {
      known.state = 'waiting'
      waiting.push(known)
      work()
    } else if (known.state === 'committed' || known.state === 'rolledBack') {
      const running: Promise<void> = takeAway(known).then(() => void working.delete(running))
      working.add(running)
    }
    return true
  }

  const unreachable = await openWindow(client, {
    name: 'check',
    heartbeat: { clientID, producerDataSet: [{ groupName: group }], consumerDataSet: [] },
    times,
    onRequest: onCheck,
    async finish() {
      isOpen = false
      // What was asked again in the last moment would count as unknown, whatever became of it before.
      while (working.size > 0 || (waiting.length > 0 && !isOver(deadline))) {
        work()
        await Promise.all(working)
      }
    },
  })
  return report([...cases.values()], unreachable)
}

/** What a check asks about; nothing for one without a place, which has no answer. */
const readCheck = (client: Client, master: Master, frame: Frame): Case | undefined => {
  try {
    const header = decodeFields(CheckTransactionState.name, CheckTransactionState.request, frame.ext)
    const { brokerName } = master
    const { messages, undecodable } = decodeMessages(Buffer.from(frame.body))
    const [stored] = messages
    if (!stored) {
      const about = { messageId: header.msgId ?? '', topic: '', brokerName, checks: 0 }
      return { master, header, about, state: 'failed', error: undecodable[0]?.reason }
    }
    const message = messageOf(stored, brokerName, client.unwrap)
    const checks = Number(message.systemProperties['TRANSACTION_CHECK_TIMES'] ?? 1)
    const about = { messageId: message.messageId, topic: message.topic, brokerName, checks }
    return { master, header, about, message, state: 'waiting' }
  } catch {
    return undefined
  }
}

const report = (cases: readonly Case[], unreachable: Unreachable[]): CheckResult => {
  const of = (...states: Case['state'][]): CheckedTransaction[] =>
    cases.filter(({ state }) => states.includes(state)).map(({ about }) => about)
  const failed = cases
    .filter(({ state }) => state === 'failed')
    .map(({ about, error }) => ({ ...about, error }))
  const unknown = of('unknown', 'waiting', 'asked')
  const [nearest] = [...unknown, ...failed].toSorted((a, b) => b.checks - a.checks)
  const result: CheckResult = {
    resolved: { committed: of('committed'), rolledBack: of('rolledBack') },
    unknown,
    failed,
    unreachable,
  }
  if (nearest) {
    const { messageId, topic, brokerName, checks } = nearest
    result.nearestToLast = { messageId, topic, brokerName, checks }
  }
  return result
}
