/**
 * Answering what brokers ask of the members of a consumer group (protocol.md 13.2; upstream ClientRemotingProcessor): running
 * info 307, a message handled directly 309, resets 220, changes of the members 40; with a producer group the checks of its
 * transactions, 39. For a bounded time: nothing goes on afterwards. Whatever else is asked is refused as not supported.
 */
import {
  ConsumeMessageDirectly,
  type ConsumeMessageDirectlyResult,
  type ConsumerRunningInfo,
  GetConsumerRunningInfo,
  type ProcessQueueInfo,
  ResetConsumerClientOffset,
} from '../commands/consumer-requests.ts'
import { decodeFields } from '../commands/define.ts'
import { type ConsumerData, type ConsumeType, NotifyConsumerIdsChanged } from '../commands/heartbeat.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { QueryConsumerOffset, UpdateConsumerOffset } from '../commands/offsets.ts'
import type { CallOptions } from '../net/deadline.ts'
import { checkChoice, checkInt, checkText, refuse } from '../wire/checks.ts'
import type { Frame, FrameInput } from '../wire/frame.ts'
import { decodeMessages } from '../wire/message.ts'
import { checkGroupName } from '../wire/names.ts'
import type { Master } from './admin/masters.ts'
import { type CheckResult, checkTransactions, type Resolve } from './checker.ts'
import type { Client } from './client.ts'
import { checkKeys } from './options.ts'
import { createMessageId } from './outgoing.ts'
import type { Filter } from './puller.ts'
import { consumerDataOf } from './registration.ts'
import { type Message, messageOf } from './values.ts'
import { callUser, openWindow, type Unreachable, windowTimes } from './window.ts'

/** A reset that a broker has told the group's clients of. */
export interface ToldReset {
  topic: string
  queues: readonly { queue: MessageQueue; offset: bigint }[]
}

export type ConsumeDirectly = (
  message: Message,
  context: { signal: AbortSignal },
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler need not return anything
) => Promise<'success' | 'later' | undefined | void> // oxlint-disable-line typescript/no-invalid-void-type

export interface ServeHandlers {
  /**
   * Handles a message now, because an administrator wants to see what comes of it (`mqadmin queryMsgById -g … -d …`); no offset
   * moves. Nothing or `success`: it was handled; `later`: it failed and would be tried again; an error is shown to who asked.
   * Without this handler such a request is refused.
   */
  consumeDirectly?: ConsumeDirectly | undefined
  /** What `mqadmin consumerStatus` shows besides subscriptions and committed offsets. */
  runningInfo?: (() => Promise<Partial<ConsumerRunningInfo>>) | undefined
  /** Told of a reset when its offsets are committed. */
  reset?: ((reset: ToldReset) => Promise<void>) | undefined
  /** Told that members of the group came or went. */
  idsChanged?: (() => void) | undefined
  /** What became of a transaction of `producerGroup`, as `check` of a transaction producer asks it. */
  resolve?: Resolve | undefined
}

export interface ServeOptions extends CallOptions {
  /** The group to be a member of. Java's consumers leave a new member its share of the queues: not for a group that they are in. */
  consumerGroup: string
  /** The topics of the group with the filter of each; the brokers compare them with those of other members. @default {} */
  subscriptions?: Readonly<Record<string, Filter>> | undefined
  /** Needs `handlers.resolve`. */
  producerGroup?: string | undefined
  /** The name of this member, for `mqadmin consumerStatus -i`. @default 32 random hex digits */
  clientId?: string | undefined
  /**
   * How it says that it consumes. mqadmin has messages handled directly by members that say CONSUME_PASSIVELY only.
   * @default CONSUME_PASSIVELY with `handlers.consumeDirectly`, else CONSUME_ACTIVELY
   */
  consumeType?: ConsumeType | undefined
  /** How long to be there, in ms. Shortened so that it ends a second before `deadlineMs`. @default 30000 */
  windowMs?: number | undefined
  /** How long one handler may take, in ms; brokers give up after 10 s. @default 9000 */
  handlerTimeoutMs?: number | undefined
  handlers?: ServeHandlers | undefined
}

/** A message that was handled directly. */
export interface HandledDirectly {
  messageId: string
  topic: string
  result: 'success' | 'later' | 'failed'
  error?: unknown
}

export interface ServeResult {
  clientId: string
  /** How often the running info was asked for. */
  runningInfo: number
  consumed: HandledDirectly[]
  /** With `error`: not committed in full, or the handler failed. */
  resets: (ToldReset & { error?: unknown })[]
  /** How often members came or went, this one included. */
  idsChanged: number
  /** Request codes that were refused as not supported. */
  refused: number[]
  /** What became of the checks; absent without a producer group. */
  checks?: CheckResult
  /** Masters that could not be reached, or not all of the time. */
  unreachable: Unreachable[]
}

const REQUEST_CODE_NOT_SUPPORTED = 3
const SYSTEM_ERROR = 1
const MAX_TEXT = 300

type Give = (answer: Omit<FrameInput, 'opaque' | 'flag'>) => void

/**
 * Registers as a member of `consumerGroup` at every master and answers what is asked, until the window ends.
 *
 * @example
 * const { consumed } = await serve(client, {
 *   consumerGroup: 'billing',
 *   subscriptions: { orders: '*' },
 *   windowMs: 30_000,
 *   handlers: { consumeDirectly: async (message) => handle(message) },
 * })
 * @throws ConfigError naming the option; ConnectError when no master can be reached
 */
export const serve = async (client: Client, options: ServeOptions): Promise<ServeResult> => {
  const {
    consumerGroup,
    producerGroup,
    windowMs,
    handlerTimeoutMs,
    clientId,
    subscriptions,
    handlers,
    data,
  } = checkServe(client, options)
  const { signal, deadlineMs } = options
  const times = windowTimes(client, { signal, deadlineMs }, windowMs, handlerTimeoutMs)
  const { deadline } = times
  const startedAt = Date.now()
  const group = client.wrap(consumerGroup)
  const working = new Set<Promise<void>>()
  const result: ServeResult = {
    clientId,
    runningInfo: 0,
    consumed: [],
    resets: [],
    idsChanged: 0,
    refused: [],
    unreachable: [],
  }

  /** Work under way, whose failure becomes the answer. */
  const begin = (work: () => Promise<void>, fail: (error: unknown) => void): void => {
    const running: Promise<void> = work()
      .catch(fail)
      .then(() => void working.delete(running))
    working.add(running)
  }
  const ask = <T>(name: string, call: (own: AbortSignal) => Promise<T>): Promise<T> =>
    callUser(`${name}()`, handlerTimeoutMs, deadline, call)

  const handleDirectly = async (master: Master, body: Buffer, give: Give): Promise<void> => {
    const at = Date.now()
    const [stored] = decodeMessages(body).messages
    if (!stored) throw new Error('the message makes no sense')
    const message = messageOf(stored, master.brokerName, client.unwrap)
    const { messageId, topic } = message
    const say = (consumeResult: string, remark?: string): void => {
      const spentTimeMills = BigInt(Date.now() - at)
      const answer: ConsumeMessageDirectlyResult = {
        order: false,
        autoCommit: true,
        consumeResult,
        ...(remark === undefined ? {} : { remark: remark.slice(0, MAX_TEXT) }),
        spentTimeMills,
      }
      give({ code: 0, body: ConsumeMessageDirectly.responseBody.encode(answer) })
    }
    try {
      const said: unknown = await ask('consumeDirectly', async (own) =>
        handlers.consumeDirectly?.(message, { signal: own }),
      )
      const outcome = checkChoice('consumeDirectly()', said ?? 'success', 'success', 'later')
      result.consumed.push({ messageId, topic, result: outcome })
      say(outcome === 'later' ? 'CR_LATER' : 'CR_SUCCESS')
    } catch (error) {
      result.consumed.push({ messageId, topic, result: 'failed', error })
      say('CR_THROW_EXCEPTION', String(error))
    }
  }

  const tellRunningInfo = async (give: Give): Promise<void> => {
    const own = handlers.runningInfo ? await ask('runningInfo', handlers.runningInfo) : {}
    const info: ConsumerRunningInfo = {
      subscriptionSet: data.subscriptionDataSet,
      mqTable: own.mqTable ? [] : await readTable(),
      mqPopTable: [],
      statusTable: {},
      userConsumerInfo: {},
      ...own,
      properties: {
        PROP_CONSUME_TYPE: data.consumeType,
        PROP_CONSUME_ORDERLY: 'false',
        PROP_CLIENT_VERSION: 'rocketmq-lambda',
        PROP_CONSUMER_START_TIMESTAMP: String(startedAt),
        PROP_NAMESERVER_ADDR: client.nameServers.addresses.join(';'),
        PROP_THREADPOOL_CORE_SIZE: '1',
        ...own.properties,
      },
    }
    give({ code: 0, body: GetConsumerRunningInfo.responseBody.encode(info) })
  }

  /** Nothing is held here, so a queue is where the group has committed. */
  const readTable = async (): Promise<[MessageQueue, ProcessQueueInfo][]> => {
    const routes = await Promise.all(
      Object.keys(subscriptions).map(async (topic) => await client.route(topic, deadline)),
    )
    const readable = routes.flatMap((route) => route.readable)
    return await Promise.all(
      readable.map(async (queue): Promise<[MessageQueue, ProcessQueueInfo]> => {
        const request = { consumerGroup: group, topic: queue.topic, queueId: queue.queueId }
        const { header } = await client.callQueue(queue, QueryConsumerOffset, request, undefined, {
          deadline,
        })
        return [queue, { ...IDLE, commitOffset: header.offset ?? 0n }]
      }),
    )
  }

  const honour = async (frame: Frame): Promise<void> => {
    const header = decodeFields(ResetConsumerClientOffset.name, ResetConsumerClientOffset.request, frame.ext)
    const { offsetTable } = ResetConsumerClientOffset.requestBody.decode(frame.body)
    const topic = client.unwrap(header.topic)
    const told: ToldReset & { error?: unknown } = {
      topic,
      queues: offsetTable.map(([queue, offset]) => ({ queue: { ...queue, topic }, offset })),
    }
    result.resets.push(told)
    try {
      await Promise.all(
        told.queues.map(({ queue, offset }) => {
          const request = {
            consumerGroup: group,
            topic: header.topic,
            queueId: queue.queueId,
            commitOffset: offset,
          }
          return client.callQueue(queue, UpdateConsumerOffset, request, undefined, { deadline })
        }),
      )
      const { reset } = handlers
      if (reset) await ask('reset', () => reset(told))
    } catch (error) {
      told.error = error
    }
  }

  const onRequest = (master: Master, frame: Frame, give: Give): boolean => {
    const { code, ext } = frame
    if (ext[code === ResetConsumerClientOffset.code ? 'group' : 'consumerGroup'] !== group) return false
    // Of several members at one broker behind this connection one is meant.
    if (ext['clientId'] !== undefined && ext['clientId'] !== clientId) return false
    const copy = { ...frame, body: Buffer.from(frame.body) }
    const fail = (error: unknown): void =>
      give({ code: SYSTEM_ERROR, remark: String(error).slice(0, MAX_TEXT) })
    switch (code) {
      case NotifyConsumerIdsChanged.code:
        result.idsChanged += 1
        begin(
          () => ask('idsChanged', async () => handlers.idsChanged?.()),
          () => undefined,
        )
        return true
      case ResetConsumerClientOffset.code:
        begin(
          () => honour(copy),
          () => undefined,
        )
        return true
      case GetConsumerRunningInfo.code:
        result.runningInfo += 1
        begin(() => tellRunningInfo(give), fail)
        return true
      case ConsumeMessageDirectly.code:
        if (!handlers.consumeDirectly) break
        begin(() => handleDirectly(master, copy.body, give), fail)
        return true
    }
    result.refused.push(code)
    give({ code: REQUEST_CODE_NOT_SUPPORTED, remark: `${code} not supported` })
    return true
  }

  const checking =
    producerGroup === undefined || !handlers.resolve
      ? undefined
      : checkTransactions(client, client.wrap(producerGroup), {
          windowMs,
          resolve: handlers.resolve,
          resolveTimeoutMs: handlerTimeoutMs,
          signal,
          deadlineMs,
        })
  const serving = openWindow(client, {
    name: 'serve',
    heartbeat: { clientID: clientId, producerDataSet: [], consumerDataSet: [data] },
    times,
    onRequest,
    async finish() {
      while (working.size > 0) await Promise.all(working)
    },
  })
  const [served, checked] = await Promise.allSettled([serving, checking])
  if (served.status === 'rejected') throw served.reason
  if (checked.status === 'rejected') throw checked.reason
  result.unreachable = served.value
  if (checked.value) result.checks = checked.value
  return result
}

const IDLE: ProcessQueueInfo = {
  commitOffset: 0n,
  cachedMsgMinOffset: 0n,
  cachedMsgMaxOffset: 0n,
  cachedMsgCount: 0,
  cachedMsgSizeInMiB: 0,
  transactionMsgMinOffset: 0n,
  transactionMsgMaxOffset: 0n,
  transactionMsgCount: 0,
  locked: false,
  tryUnlockTimes: 0n,
  lastLockTimestamp: 0n,
  droped: false,
  lastPullTimestamp: 0n,
  lastConsumeTimestamp: 0n,
}

const checkServe = (
  client: Client,
  options: ServeOptions,
): {
  consumerGroup: string
  producerGroup: string | undefined
  windowMs: number
  handlerTimeoutMs: number
  clientId: string
  subscriptions: Readonly<Record<string, Filter>>
  handlers: ServeHandlers
  data: ConsumerData
} => {
  checkKeys('serve', options, [
    'consumerGroup',
    'subscriptions',
    'producerGroup',
    'clientId',
    'consumeType',
    'windowMs',
    'handlerTimeoutMs',
    'handlers',
    'signal',
    'deadlineMs',
  ])
  const { consumerGroup, producerGroup, subscriptions = {}, handlers = {} } = options
  const { windowMs = 30_000, handlerTimeoutMs = 9_000, clientId = createMessageId() } = options
  if (producerGroup !== undefined) checkGroupName(producerGroup, 'producerGroup')
  checkInt('windowMs', windowMs, 1)
  checkInt('handlerTimeoutMs', handlerTimeoutMs, 1)
  checkText('clientId', clientId)
  checkKeys('handlers', handlers, ['consumeDirectly', 'runningInfo', 'reset', 'idsChanged', 'resolve'])
  for (const [name, handler] of Object.entries(handlers))
    if (handler !== undefined && typeof handler !== 'function') refuse(`handlers.${name}`, 'takes a function')
  const { consumeType = handlers.consumeDirectly ? 'CONSUME_PASSIVELY' : 'CONSUME_ACTIVELY' } = options
  if ((producerGroup === undefined) !== (handlers.resolve === undefined))
    refuse('handlers.resolve', 'goes with producerGroup')
  const data = consumerDataOf(client, { consumerGroup, consumeType, subscriptions })
  return { consumerGroup, producerGroup, windowMs, handlerTimeoutMs, clientId, subscriptions, handlers, data }
}
