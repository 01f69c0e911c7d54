/** Making an attempt again: the one loop behind calls, routes and sends. Who may be repeated, and after which pause, is for the caller. */
import { RocketMQError } from '../errors.ts'

const isUnknown = (error: unknown): boolean => error instanceof RocketMQError && error.outcome === 'unknown'

/**
 * Makes attempts, numbered from 0, until one succeeds or `again` says no. The error is that of the last one, unless
 * that did nothing and an earlier one may have done it: then it is the earlier one's that counts.
 */
export async function repeat<T>(
  attempt: (turn: number) => Promise<T>,
  again: (error: unknown, turn: number) => boolean,
): Promise<T> {
  let unknown: unknown
  for (let turn = 0; ; turn++) {
    try {
      return await attempt(turn)
    } catch (error) {
      if (isUnknown(error)) unknown = error
      if (!again(error, turn)) throw unknown ?? error
    }
  }
}
