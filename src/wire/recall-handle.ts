/** The handle by which a timer message is recalled (protocol.md 15; upstream RecallMessageHandle). */
import { malformed, refuse } from './checks.ts'

export interface RecallHandle {
  topic: string
  brokerName: string
  /** Epoch ms at which the message would be delivered. */
  deliverTimeMs: bigint
  /** The UNIQ_KEY. */
  messageId: string
}

/** URL-safe Base64, padded, of `v1 topic brokerName deliverTimeMs messageId`. @throws ConfigError for a part with a space. */
export const formatRecallHandle = ({ topic, brokerName, deliverTimeMs, messageId }: RecallHandle): string => {
  for (const [field, part] of Object.entries({ topic, brokerName, messageId })) {
    if (part === '' || part.includes(' ')) refuse(field, 'must not be empty or have a space')
  }
  const text = Buffer.from(`v1 ${topic} ${brokerName} ${deliverTimeMs} ${messageId}`).toString('base64url')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** @throws ProtocolError for anything that is not a version 1 handle. */
export const parseRecallHandle = (handle: string): RecallHandle => {
  const [topic, brokerName, time, messageId] = recallParts(handle)
  if (!topic || !brokerName || !time || !messageId) throw malformed('recallHandle', 'is not of version 1')
  return { topic, brokerName, deliverTimeMs: BigInt(time), messageId }
}

/** Topic, broker name, time and message id as text; nothing of what is not a version 1 handle. */
export const recallParts = (handle: unknown): string[] => {
  const base64 = String(handle)
  const text = /^[\w-]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64url').toString() : ''
  return /^v1 ([^ ]+) ([^ ]+) (-?\d{1,18}) ([^ ]+)$/.exec(text)?.slice(1) ?? []
}
