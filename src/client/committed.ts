/** Whether a group has a committed offset, also where brokers do not say so (protocol.md 9.4, 23). */

import type { MessageQueue } from '../commands/message-queue.ts'
import { AskTopicConsumeByWho } from '../commands/offsets.ts'
import type { CallLimits } from '../net/network.ts'
import { V5_0_0 } from '../wire/server-version.ts'
import type { Client } from './client.ts'

/**
 * Whether an offset that a broker told is one that the group has committed. Before 5.0 brokers say 0 as well for none, as long as
 * the first message is in memory; but they list the groups that have committed anything of a topic.
 */
export const isCommitted = async (
  client: Client,
  consumerGroup: string,
  queue: MessageQueue,
  { header, version }: { header: { offset?: bigint | undefined }; version: number },
  limits: CallLimits,
): Promise<boolean> => {
  if (header.offset !== 0n || !version || version >= V5_0_0) return true
  const request = { topic: client.wrap(queue.topic) }
  const { body } = await client.callQueue(queue, AskTopicConsumeByWho, request, undefined, limits)
  return body.includes(JSON.stringify(client.wrap(consumerGroup)))
}
