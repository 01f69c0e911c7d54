/**
 * POP_MESSAGE 200050, PEEK_MESSAGE 200052, NOTIFICATION 200054 and POLLING_INFO 200055 (upstream PopMessageProcessor,
 * PeekMessageProcessor, NotificationProcessor, PollingInfoProcessor). Without the lite topics of 5.5.
 */
import type { Command } from '../../../commands/define.ts'
import { PopMessage, type PopMessageRequest, type PopMessageResponse } from '../../../commands/pop.ts'
import {
  INVALID_PARAMETER,
  POLLING_TIMEOUT,
  PULL_NOT_FOUND,
  SUBSCRIPTION_PARSE_FAILED,
  SUCCESS,
  SYSTEM_ERROR,
} from '../../../commands/response-codes.ts'
import { popRetryTopicV1 } from '../../../wire/names.ts'
import { answerLater, type Call, type Handler, handle, Refusal, type Reply } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import type { ParkedPops } from '../parked-pops.ts'
import { Notification, type NotificationRequest, PeekMessage, PollingInfo } from './more-commands.ts'
import { nextOffset, queueIdsOf, takeMessages } from './pop-take.ts'
import { checkConsumer, checkReadable, codesOf, type Matches, matcher, noSql } from './pulls.ts'

type PopCall = Call<BrokerNode>
type PopReply = Reply<PopMessageResponse, Buffer>

const MOST_MESSAGES = 32
/** A wait ends so much before its time. */
const EARLY_MS = 50
const TOO_LATE_MS = 500n
const FOUND = 'FOUND'
const NONE = 'NO_MESSAGE_IN_QUEUE'
const NO_REMARK = 'not set any response code'
const NOTHING = { popTime: 0n, invisibleTime: 0n, reviveQid: 0, restNum: 0n }

/** `bornTime` may be missing: the broker takes its own time then, as for 0. */
const mayLackBornTime = <C extends typeof PopMessage | typeof Notification>(command: C): C => ({
  ...command,
  request: { ...command.request, bornTime: 'long?' },
})

export const popHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(mayLackBornTime(PopMessage), (call: PopCall, request) => pop(call, withBornTime(call, request))),
  handle(mayLackBornTime(Notification), (call: PopCall, request) =>
    notify(call, withBornTime(call, request)),
  ),
  handle(PeekMessage, peek),
  handle(PollingInfo, (call: PopCall, request) => {
    check(call, request)
    const { topic, consumerGroup, queueId } = request
    const pollingNum = call.server.parkedPops.count(topic, consumerGroup, queueId)
    return { header: { pollingNum }, remark: NO_REMARK }
  }),
]

const withBornTime = <T extends { bornTime?: bigint | undefined }>(
  { server }: PopCall,
  request: T,
): T & { bornTime: bigint } => ({
  ...request,
  bornTime: request.bornTime || BigInt(server.clock.now()),
})

type AboutQueue = Pick<PopMessageRequest, 'consumerGroup' | 'topic' | 'queueId'>

/** @param queueId below 0: all of them */
function check(call: PopCall, { consumerGroup, topic, queueId }: AboutQueue): void {
  checkReadable(call, topic, Math.max(0, queueId), 'peeking')
  checkConsumer(call.server, consumerGroup)
}

function pop(call: PopCall, request: PopMessageRequest & { bornTime: bigint }): PopReply | undefined {
  const { server } = call
  const { bornTime, pollTime = 0n, maxMsgNums, topic, consumerGroup, queueId } = request
  if (BigInt(server.clock.now()) - bornTime - pollTime > TOO_LATE_MS) {
    const remark = 'the broker[127.0.0.1] pop message is timeout too much'
    return { code: POLLING_TIMEOUT, remark, header: NOTHING }
  }
  if (maxMsgNums > MOST_MESSAGES)
    throw new Refusal(INVALID_PARAMETER, "the broker[127.0.0.1] pop message's num is greater than 32")
  check(call, request)
  const matches = filterOf(request)
  if (maxMsgNums < 0)
    throw new Refusal(SYSTEM_ERROR, `java.lang.IllegalArgumentException: Illegal Capacity: ${maxMsgNums}`)
  const wait = { ...request, pollTime, matches }
  let { header, records } = takeMessages(server, request, matches)
  // The filter passed over all that one read looks at: who waits gets what lies behind.
  while (records.length === 0 && header.restNum > 0n && maxMsgNums > 0 && canWait(call, wait))
    ({ header, records } = takeMessages(server, request, matches))
  if (records.length > 0) {
    if (header.restNum > 0n) server.parkedPops.wake(topic, consumerGroup, queueId)
    return { code: SUCCESS, remark: FOUND, header, body: Buffer.concat(records) }
  }
  if (canWait(call, wait)) return park(call, server.parkedPops, PopMessage, wait, () => pop(call, request))
  return { code: POLLING_TIMEOUT, remark: NONE, header }
}

/** @throws Refusal for a filter that cannot be read */
function filterOf({ exp = '', expType = 'TAG' }: Pick<PopMessageRequest, 'exp' | 'expType'>): Matches {
  if (exp === '') return () => true
  if (expType !== 'TAG' && expType !== '') throw new Refusal(SUBSCRIPTION_PARSE_FAILED, noSql(expType))
  return matcher(exp, codesOf(exp))
}

interface Wait extends AboutQueue {
  bornTime: bigint
  pollTime: bigint
  matches: Matches
}

const endOf = ({ bornTime, pollTime }: Wait): number => Number(bornTime + pollTime) - EARLY_MS

const canWait = ({ server }: PopCall, wait: Wait): boolean =>
  wait.pollTime > 0n && server.clock.now() < endOf(wait)

/** The request is made again when there may be something for it, and when its time is over. */
function park<A, AB>(
  call: PopCall,
  parked: ParkedPops,
  // biome-ignore lint/suspicious/noExplicitAny: an answer does not depend on what was asked
  command: Command<any, A, any, AB>, // oxlint-disable-line typescript/no-explicit-any
  wait: Wait,
  again: () => Reply<A, AB> | undefined,
): undefined {
  const { topic, consumerGroup: group, queueId, matches } = wait
  parked.park({
    topic,
    group,
    queueId,
    until: endOf(wait),
    matches,
    isWanted: () => call.connection.isOpen,
    resume: () => answerLater(call, command, again),
  })
}

function notify(
  call: PopCall,
  request: NotificationRequest,
): Reply<{ hasMsg: boolean; pollingFull: boolean }, undefined> | undefined {
  check(call, request)
  const { server } = call
  const hasMsg = queuesOf(server, request).some(({ topic, queueId, next, end }) => {
    const { consumerGroup: group, attemptId } = request
    const isBlocked =
      request.order === true && server.popOrders.isBlocked({ topic, group, queueId }, attemptId)
    return end > next && !isBlocked
  })
  const wait = { ...request, matches: filterOf(request) }
  if (!hasMsg && canWait(call, wait))
    return park(call, server.parkedNotifications, Notification, wait, () => notify(call, request))
  return { header: { hasMsg, pollingFull: false }, remark: NO_REMARK }
}

/** What a pop of the group would read, its retry topic last. */
function queuesOf(
  server: BrokerNode,
  { consumerGroup, topic, queueId }: AboutQueue,
): { topic: string; queueId: number; next: bigint; end: bigint }[] {
  const describe = (of: string, id: number) => {
    const { max = 0 } = server.store.queue(of, id) ?? {}
    return { topic: of, queueId: id, next: nextOffset(server, consumerGroup, of, id), end: BigInt(max) }
  }
  const retry = popRetryTopicV1(consumerGroup, topic)
  const own = queueId < 0 ? queueIdsOf(server, topic) : [queueId]
  return [
    ...own.map((id) => describe(topic, id)),
    ...queueIdsOf(server, retry).map((id) => describe(retry, id)),
  ]
}

function peek(call: PopCall, request: AboutQueue & { maxMsgNums: number }): PopReply {
  check(call, request)
  const { store } = call.server
  const records: Buffer[] = []
  let restNum = 0n
  for (const { topic, queueId, next, end } of queuesOf(call.server, request)) {
    const room = request.maxMsgNums - records.length
    if (end > next) restNum += end - next
    if (room > 0) records.push(...store.read(topic, queueId, next, room, () => true).records)
  }
  const isFound = records.length > 0
  return {
    code: isFound ? SUCCESS : PULL_NOT_FOUND,
    remark: isFound ? FOUND : NONE,
    header: { ...NOTHING, restNum },
    body: Buffer.concat(records),
  }
}
