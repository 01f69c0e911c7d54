/**
 * A popped message whose time is over is stored again in the retry topic of its topic and group (upstream
 * PopReviveService.reviveRetry). That goes on without end: to pops, a broker does not make dead letters.
 */
import { popRetryTopicV1, retryTopic } from '../../wire/names.ts'
import type { Checkpoint } from './checkpoints.ts'
import { hostBytes } from './connection.ts'
import type { BrokerNode } from './node.ts'
import { formatProperties, readRecord } from './record.ts'

/** @param isSuspended this delivery does not count as an attempt */
export function revive(
  server: BrokerNode,
  { group, topic, queueId, popTime }: Checkpoint,
  offset: bigint,
  isSuspended: boolean,
): void {
  const queue = server.store.queue(topic, queueId)
  if (!queue || offset < queue.min || offset >= queue.max) return // gone with the oldest messages
  const { properties, ...message } = readRecord(server.store.recordAt(queue, Number(offset)))
  const isRetry = topic.startsWith(retryTopic(''))
  const target = server.topics.ensure(isRetry ? topic : popRetryTopicV1(group, topic), 1).topicName
  if (server.offsets.get(group, target, 0) === undefined) server.offsets.commit(group, target, 0, 0n)
  if (message.reconsumeTimes === 0) delete properties['1ST_POP_TIME']
  properties['1ST_POP_TIME'] ??= String(popTime)
  properties['ORIGIN_GROUP'] = group
  server.putAsIs(
    {
      ...message,
      topic: target,
      queueId: 0,
      bornHost: hostBytes(server.server.address),
      reconsumeTimes: message.reconsumeTimes + (isSuspended ? 0 : 1),
      properties: formatProperties(properties),
    },
    properties['TAGS'],
  )
  server.wakePops(isRetry ? target.slice(popRetryTopicV1(group, '').length) : topic, group)
}
