/**
 * Sends dead letters again. The progress is the committed offset of a group of its own on the dead-letter topic: a batch is
 * read, published, and committed when the brokers have it, so that a run that was killed is repeated from there. What is in
 * flight then, a batch of one queue, may be sent twice, under the same message ids.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createGroupAdmin } from '../../client/admin/groups.ts'
import { createTopicAdmin } from '../../client/admin/topics.ts'
import type { Client } from '../../client/client.ts'
import { createProducer, type Producer } from '../../client/producer.ts'
import { createPullConsumer, type PullConsumer } from '../../client/puller.ts'
import type { PullResult } from '../../client/values.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { AuthError, ConnectError } from '../../errors.ts'
import { createLooker } from '../operate/reading.ts'
import {
  copyOf,
  type Decision,
  decisionsOf,
  isForGood,
  type Problem,
  problemOf,
  type Rules,
} from './decisions.ts'
import type { DeadLetterQueues } from './letters.ts'

export interface RedriveOptions extends Rules {
  deadLetters: DeadLetterQueues
  progressGroup: string
  /** What was shown and agreed to: what has died since waits for another run. */
  shown?: readonly QueuePlan[] | undefined
  /** Those that died less than so many ms ago are left for a later run. */
  olderThan?: number | undefined
  /** Messages a second. */
  rate?: number | undefined
  /** Messages to send at most. */
  limit?: number | undefined
  /** Goes on after letters that cannot be sent. */
  skipFailed?: boolean | undefined
  dryRun?: boolean | undefined
  /** Ends it after the batch in flight. */
  signal?: AbortSignal | undefined
  onProgress?: (counts: RedriveCounts) => void
  /** The queues are held by another run. */
  onWait?: () => void
}

export interface RedriveCounts {
  /** Looked at. */
  read: number
  redriven: number
  /** Not of the selection. */
  notSelected: number
  /** Redriven too often before. */
  refused: number
  /** Cannot be sent. */
  failed: number
}

export interface RedriveResult extends RedriveCounts {
  byTopic: Record<string, number>
  /** How many the run has not come to. */
  left: number
  /** The first 100. */
  problems: Problem[]
  /** What ended the run before its end. */
  error?: unknown
}

export interface QueuePlan {
  queue: MessageQueue
  /** Where the progress stands. */
  from: bigint
  /** Behind the last letter that there is now: what dies later waits for another run. */
  end: bigint
}

const BATCH = 32
const MOST_PROBLEMS = 100
/** Leases last 60 s. */
const LEASE_MS = 60_000
const RENEW_AFTER_MS = 20_000
const ASK_AGAIN_MS = 1_000

export async function planRedrive(
  client: Client,
  { deadLetters, progressGroup }: Pick<RedriveOptions, 'deadLetters' | 'progressGroup'>,
): Promise<QueuePlan[]> {
  const progress = createPullConsumer(client, { consumerGroup: progressGroup })
  return await Promise.all(
    deadLetters.queues.map(async (queue) => {
      const [committed, min, end] = await Promise.all([
        progress.committedOffset(queue),
        progress.minOffset(queue),
        progress.maxOffset(queue),
      ])
      // An offset behind the end is of a topic that was deleted since.
      const from = committed !== undefined && committed >= min && committed <= end ? committed : min
      return { queue, from, end }
    }),
  )
}

export const countOf = (plan: readonly QueuePlan[]): number =>
  Number(plan.reduce((sum, { from, end }) => sum + end - from, 0n))

export async function redrive(client: Client, options: RedriveOptions): Promise<RedriveResult> {
  const { deadLetters, progressGroup, dryRun } = options
  if (deadLetters.queues.length === 0) return createResult()
  if (dryRun) return await new Run(client, options).toTheEnd()
  await createProgressGroup(client, deadLetters.topic, progressGroup)
  const run = new Run(client, options)
  await run.takeLease()
  try {
    return await run.toTheEnd()
  } finally {
    await run.giveLeaseBack()
  }
}

const createResult = (): RedriveResult => ({
  ...{ read: 0, redriven: 0, notSelected: 0, refused: 0, failed: 0 },
  ...{ byTopic: {}, left: 0, problems: [] },
})

class Run {
  readonly #client: Client
  readonly #options: RedriveOptions
  readonly #reader: PullConsumer
  readonly #producer: Producer
  readonly #startedAt: number = Date.now()
  readonly #result: RedriveResult = createResult()
  #leasedAt = 0

  constructor(client: Client, options: RedriveOptions) {
    const { dryRun, progressGroup } = options
    this.#client = client
    this.#options = options
    // A look must not create the group of the progress, as a pull with it would.
    this.#reader = dryRun
      ? createLooker(client)
      : createPullConsumer(client, { consumerGroup: progressGroup })
    this.#producer = createProducer(client, { producerGroup: progressGroup })
  }

  /** Of a run that was killed the lease ends by itself. */
  async takeLease(): Promise<void> {
    const { signal, onWait, deadLetters } = this.#options
    const { topic, queues } = deadLetters
    const limit = Date.now() + LEASE_MS + 2 * ASK_AGAIN_MS
    for (let turn = 0; (await this.#reader.lock(queues)).length < queues.length; turn++) {
      if (turn === 0) onWait?.()
      if (signal?.aborted || Date.now() > limit) {
        await this.giveLeaseBack()
        throw new ConnectError(`${topic} is held by another run; nothing was sent`, { topic })
      }
      await pause(ASK_AGAIN_MS, signal)
    }
    this.#leasedAt = Date.now()
  }

  async giveLeaseBack(): Promise<void> {
    await this.#reader.unlock(this.#options.deadLetters.queues).catch(() => undefined) // it ends by itself
  }

  /** A queue after the other; the plan is made anew, since another run may have gone on until its lease ended. */
  async toTheEnd(): Promise<RedriveResult> {
    const result = this.#result
    const { shown } = this.#options
    for (const [index, { queue, from, end: now }] of (
      await planRedrive(this.#client, this.#options)
    ).entries()) {
      const agreed = shown?.[index]?.end ?? now
      // Another run may have gone further than that.
      const end = agreed < from ? from : agreed < now ? agreed : now
      let at = from
      try {
        while (at < end && !this.#isOver()) {
          const next = await this.#goOn(queue, at, end)
          if (next === at) break
          at = next
        }
      } catch (error) {
        result.error ??= error
      }
      result.left += Number(end - at)
    }
    return result
  }

  #isOver(): boolean {
    const { signal, limit = Number.POSITIVE_INFINITY } = this.#options
    return this.#result.error !== undefined || !!signal?.aborted || this.#result.redriven >= limit
  }

  /** Takes the next batch on and commits it; gives where to go on, `offset` itself when there is nothing to do. */
  async #goOn(queue: MessageQueue, offset: bigint, end: bigint): Promise<bigint> {
    const { rate, dryRun, onProgress } = this.#options
    const result = this.#result
    const began = Date.now()
    const sentBefore = result.redriven
    await this.#keepLease()
    const pulled = await this.#pull(queue, offset, Math.min(BATCH, rate ?? BATCH))
    const { consumerGroup, selection, to, maxRedrives } = this.#options
    const rules = { consumerGroup, selection, to, maxRedrives }
    const decisions = await decisionsOf(this.#client, rules, queue, pulled, end, this.#startedAt)
    const batch = this.#cut(decisions)
    const rest = decisions[batch.length]?.offset
    const stopped = await this.#takeBatch(batch)
    const next = stopped ?? rest ?? minOf(pulled.nextBeginOffset, end)
    if (!dryRun && next > offset) await this.#reader.commitOffset(queue, next)
    onProgress?.(result)
    if (rate !== undefined && next < end && !this.#isOver())
      await pause(
        ((result.redriven - sentBefore) / rate) * 1_000 - (Date.now() - began),
        this.#options.signal,
      )
    return next
  }

  /** After a reset of the progress, and where the oldest letters are gone, the first answer is where to read. */
  async #pull(queue: MessageQueue, offset: bigint, maxMessages: number): Promise<PullResult> {
    const pulled = await this.#reader.pull(queue, offset, { maxMessages })
    if (pulled.status !== 'OFFSET_MOVED') return pulled
    return await this.#reader.pull(queue, pulled.nextBeginOffset, { maxMessages })
  }

  /** As many as may still be sent, and none that died too recently: those behind it are younger. */
  #cut(decisions: readonly Decision[]): readonly Decision[] {
    const { olderThan, limit = Number.POSITIVE_INFINITY } = this.#options
    const youngest = olderThan === undefined ? Number.POSITIVE_INFINITY : this.#startedAt - olderThan
    let sends = this.#result.redriven
    const at = decisions.findIndex(({ kind, diedAt = 0 }) => {
      if (sends >= limit || diedAt > youngest) return true
      if (kind === 'send') sends++
      return false
    })
    return at < 0 ? decisions : decisions.slice(0, at)
  }

  /** Gives the offset of the first one that stands in the way, if any does. */
  async #takeBatch(batch: readonly Decision[]): Promise<bigint | undefined> {
    const halt = this.#options.skipFailed ? undefined : batch.find(({ kind }) => kind === 'failed')
    const before = halt ? batch.slice(0, batch.indexOf(halt)) : batch
    const errors = await this.#sendAll(before.filter(({ kind }) => kind === 'send'))
    const stop = before.find((each) => errors.has(each) && !this.#mayPass(errors.get(each)))
    for (const each of stop ? before.slice(0, before.indexOf(stop) + 1) : before)
      this.#count(each, errors.get(each))
    if (stop) this.#result.error = errors.get(stop)
    if (stop || !halt) return stop?.offset
    this.#count(halt)
    this.#result.error = new Error(
      `${halt.problem?.place} ${halt.problem?.reason}; --skip-failed goes on with the others`,
    )
    return halt.offset
  }

  #mayPass(error: unknown): boolean {
    return this.#options.skipFailed === true && isForGood(error)
  }

  /** Messages with one sharding key keep their order, others go at once. Gives what was wrong, by decision. */
  async #sendAll(decisions: readonly Decision[]): Promise<Map<Decision, unknown>> {
    const errors = new Map<Decision, unknown>()
    const lanes = Map.groupBy(
      decisions,
      (each) => each.letter?.message.systemProperties['__SHARDINGKEY'] ?? each,
    )
    const sendLane = async (lane: readonly Decision[]): Promise<void> => {
      for (const each of lane) {
        try {
          await this.#send(each)
        } catch (error) {
          errors.set(each, error)
          if (!this.#mayPass(error)) return
        }
      }
    }
    await Promise.all([...lanes.values()].map(sendLane))
    return errors
  }

  async #send({ letter, topic }: Decision): Promise<void> {
    if (!letter || topic === undefined) return
    const { dryRun, consumerGroup } = this.#options
    const result = this.#result
    if (!dryRun) await this.#producer.send(copyOf(this.#client, consumerGroup, letter, topic))
    result.redriven++
    result.byTopic[topic] = (result.byTopic[topic] ?? 0) + 1
  }

  #count({ kind, letter, problem }: Decision, error?: unknown): void {
    const result = this.#result
    const found = error !== undefined && letter ? problemOf(letter, error) : problem
    result.read++
    if (kind !== 'send') result[kind]++
    else if (found) result.failed++
    if (found && result.problems.length < MOST_PROBLEMS) result.problems.push(found)
  }

  /** @throws ConnectError when another run has taken over */
  async #keepLease(): Promise<void> {
    const { dryRun, deadLetters } = this.#options
    if (dryRun || Date.now() - this.#leasedAt < RENEW_AFTER_MS) return
    const { topic, queues } = deadLetters
    if ((await this.#reader.lock(queues)).length < queues.length)
      throw new ConnectError(`another run has taken ${topic} over`, { topic })
    this.#leasedAt = Date.now()
  }
}

const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** Brokers commit nothing for a group that they do not have, and not all create it: it must be wherever letters are. */
async function createProgressGroup(client: Client, topic: string, progressGroup: string): Promise<void> {
  const groups = createGroupAdmin(client)
  for (const { brokerName, cluster } of (await createTopicAdmin(client).route(topic)).brokerDatas) {
    const where = { brokerName, cluster }
    try {
      if ((await groups.list(where)).includes(progressGroup)) continue
    } catch (error) {
      if (error instanceof AuthError) return // then it must be there
      throw error
    }
    await groups.create(progressGroup, {}, where)
  }
}

const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  delay(Math.max(0, ms), undefined, signal ? { signal } : {}).catch(() => undefined)
