/** Making an attempt again: the one loop behind calls, routes and sends. Who may be repeated, and after which pause, is for the caller. */
import { AbortError, ConnectionLostError, RocketMQError, TimeoutError } from '../errors.ts'

/**
 * Makes attempts, numbered from 0, until one succeeds or `again` says no. The error is that of the last one, unless
 * that did nothing and an earlier one may have done it: then it is the earlier one's that counts. An AbortError stays
 * one, with the earlier one's outcome.
 */
export const repeat = <T>(
  attempt: (turn: number) => Promise<T>,
  again: (error: unknown, turn: number) => boolean,
): Promise<T> => {
  let unknown: RocketMQError | undefined
  let turn = 0
  const onError = (error: unknown): Promise<T> => {
    if (error instanceof RocketMQError && error.outcome === 'unknown') unknown = error
    if (again(error, turn)) return attempt(++turn).catch(onError)
    if (!unknown || !(error instanceof AbortError)) throw unknown ?? error
    const { outcome, address } = unknown
    throw Object.assign(error, { outcome, address })
  }
  return attempt(turn).catch(onError)
}

/**
 * Once more, for what does no harm when it is done twice: a connection that died unseen while the function was frozen looks like a
 * server that is silent.
 */
export const onceMore = (error: unknown, turn: number): boolean =>
  turn === 0 && (error instanceof TimeoutError || error instanceof ConnectionLostError)
