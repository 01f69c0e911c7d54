/**
 * PutMsgNo 1001 and GetMsgNo 1011 of a private fork, known by their header only. Apache's brokers use both codes for the
 * controller (5.x) or answer 3, so a client refuses them unless it was created with the extension `messageNumbers`.
 */
import { type Command, defineCommand, STRING } from './define.ts'

export interface MessageNumber {
  msgNo: string
}

/** Stores a message number. Whether repeating it is harmless is the fork's secret: taken as not. */
export const PutMsgNo: Command<MessageNumber> = /* @__PURE__ */ defineCommand({
  code: 1001,
  name: 'PUT_MSG_NO',
  effect: 'once',
  extension: 'messageNumbers',
  request: { msgNo: STRING },
})

/** Looks a message number up. */
export const GetMsgNo: Command<MessageNumber, Partial<MessageNumber>> = /* @__PURE__ */ defineCommand({
  code: 1011,
  name: 'GET_MSG_NO',
  effect: 'read',
  extension: 'messageNumbers',
  request: { msgNo: STRING },
  response: { msgNo: 'string?' },
})
