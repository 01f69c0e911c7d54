/** What the cases of transactions share: half messages, a registered producer, and the checks that it is sent. */

import { decodeFields } from '../../src/commands/define.ts'
import { HeartBeat, type HeartbeatData } from '../../src/commands/heartbeat.ts'
import { type SendMessageRequest, type SendMessageResponse, SendMessageV2 } from '../../src/commands/send.ts'
import {
  CheckTransactionState,
  type CheckTransactionStateRequest,
  type EndTransactionRequest,
} from '../../src/commands/transaction.ts'
import type { Answer } from '../../src/net/network.ts'
import { TRANSACTION_COMMIT, TRANSACTION_PREPARED } from '../../src/wire/flags.ts'
import type { Frame } from '../../src/wire/frame.ts'
import { decodeMessages, type StoredMessage } from '../../src/wire/message.ts'
import { decodeOffsetMessageId } from '../../src/wire/message-id.ts'
import { plainSend } from './cases/requests.ts'
import { type Context, until } from './context.ts'
import { frameOf, type RawRequest } from './raw.ts'

/** A half message that was sent, as the request that commits it. */
export type Half = EndTransactionRequest & { msgId: string }

interface Changes extends Partial<Omit<SendMessageRequest, 'properties'>> {
  properties?: Readonly<Record<string, string>>
}

/** Sends a half message whose body is its id. */
export async function sendHalf(
  c: Context,
  topic: string,
  producerGroup: string,
  { properties, ...changes }: Changes = {},
): Promise<{ answer: Answer<SendMessageResponse, undefined>; messageId: string }> {
  const messageId = c.name('half')
  const all = { TRAN_MSG: 'true', PGROUP: producerGroup, UNIQ_KEY: messageId, mine: 'ü', ...properties }
  const settings = { producerGroup, sysFlag: TRANSACTION_PREPARED, ...changes, properties: all }
  const answer = await c.call(SendMessageV2, plainSend(topic, settings), Buffer.from(messageId))
  return { answer, messageId }
}

export async function beginHalf(
  c: Context,
  topic: string,
  producerGroup: string,
  changes: Changes = {},
): Promise<Half> {
  const { answer, messageId } = await sendHalf(c, topic, producerGroup, changes)
  const { header } = answer
  return {
    topic,
    producerGroup,
    tranStateTableOffset: header.queueOffset,
    commitLogOffset: decodeOffsetMessageId(header.msgId).commitLogOffset,
    commitOrRollback: TRANSACTION_COMMIT,
    msgId: messageId,
    transactionId: messageId,
  }
}

const heartbeatData = (c: Context, producerGroup: string): HeartbeatData => ({
  clientID: c.name('client'),
  producerDataSet: [{ groupName: producerGroup }],
  consumerDataSet: [],
})

/** A client of its own that is registered for a producer group. */
export async function joinProducers(c: Context, producerGroup: string): Promise<void> {
  await c.call(HeartBeat, {}, heartbeatData(c, producerGroup), c.connect())
}

/** The frame that registers a connection for a producer group. */
export const heartbeatOf = (c: Context, producerGroup: string): RawRequest =>
  frameOf(HeartBeat, {}, HeartBeat.requestBody.encode(heartbeatData(c, producerGroup)))

export interface Check {
  frame: Frame
  header: CheckTransactionStateRequest
  message: StoredMessage
}

/** The checks of a transaction that have come so far. */
export const checksOf = (c: Context, messageId: string | undefined): Check[] =>
  c.recording.serverRequests
    .filter(({ code, ext }) => code === CheckTransactionState.code && ext['msgId'] === messageId)
    .map((frame) => ({
      frame,
      header: decodeFields(CheckTransactionState.name, CheckTransactionState.request, frame.ext),
      message: decodeMessages(Buffer.from(frame.body)).messages[0] as StoredMessage,
    }))

/** Waits until so many checks of a transaction have come; gives all of them. */
export const untilChecked = (c: Context, messageId: string | undefined, count = 1): Promise<Check[]> =>
  until(`${count} checks of ${messageId}`, () => {
    const checks = checksOf(c, messageId)
    return checks.length >= count && checks
  })

/** A half message as a check has it, as the request that commits it. */
export const answerTo = (half: Half, { header }: Check): Half => ({
  ...half,
  tranStateTableOffset: header.tranStateTableOffset,
  commitLogOffset: header.commitLogOffset,
  fromTransactionCheck: true,
})
