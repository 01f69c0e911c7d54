/** Making an attempt again: the one loop behind calls, routes and sends. Who may be repeated, and after which pause, is for the caller. */
import { AbortError, RocketMQError } from '../errors.ts'

/**
 * Makes attempts, numbered from 0, until one succeeds or `again` says no. The error is that of the last one, unless
 * that did nothing and an earlier one may have done it: then it is the earlier one's that counts. An AbortError stays
 * one, with the earlier one's outcome.
 */
export const repeat = async <T>(
  attempt: (turn: number) => Promise<T>,
  again: (error: unknown, turn: number) => boolean,
): Promise<T> => {
  let unknown: RocketMQError | undefined
  for (let turn = 0; ; turn++) {
    try {
      return await attempt(turn)
    } catch (error) {
      if (error instanceof RocketMQError && error.outcome === 'unknown') unknown = error
      if (again(error, turn)) continue
      if (!unknown || !(error instanceof AbortError)) throw unknown ?? error
      const { outcome, address } = unknown
      throw Object.assign(error, { outcome, address })
    }
  }
}
