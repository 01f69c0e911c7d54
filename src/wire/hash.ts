/** Java's `String.hashCode` and what the reference client derives from it (protocol.md 7; SelectMessageQueueByHash). */
import { checkInt } from './checks.ts'

/** `String.hashCode`: int32 over UTF-16 units. Also the tag code that brokers filter by. */
export const javaHashCode = (text: string): number => {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/**
 * The queue that the reference's hash selector picks for a sharding key: an index into the publish queues (brokers
 * sorted by name, queue ids ascending). It changes when the number of queues does.
 */
export const selectQueueIndex = (shardingKey: string, queueCount: number): number => {
  // The remainder first: abs() of the smallest int would not fit an int, and upstream takes it in this order too.
  return Math.abs(javaHashCode(shardingKey) % checkInt('queueCount', queueCount, 1))
}
