/**
 * A function under a time limit of its own, counted from where its handler begins: whether it is late is told by a timer of its
 * process, which a busy machine delays as well. Lambda's own limit must be longer, and ends what does not end at all.
 */
import type { LambdaContext } from '../../src/lambda/context.ts'
import { startTimer } from '../support/timer.ts'

type Handler = (event: unknown, context: LambdaContext) => Promise<unknown>

const limitMs = Number(process.env['TIMED_LIMIT_MS'])
const { handler: timed }: { handler: Handler } = await import(process.env['TIMED_HANDLER'] ?? '')

class Late extends Error {
  override readonly name = 'Late'
}

export const handler: Handler = async (event, context) => {
  const timer = startTimer(limitMs)
  const end = Date.now() + limitMs
  const getRemainingTimeInMillis = (): number => Math.max(0, end - Date.now())
  const [ended] = await Promise.allSettled([timed(event, { ...context, getRemainingTimeInMillis })])
  if (timer.stop()) throw new Late(`its ${limitMs} ms were over`)
  if (ended.status === 'rejected') throw ended.reason
  return ended.value
}
