/**
 * A target: a function of the user's own, in any language, that is given the event in place of a handler in process. Its
 * answer is read by the same contract.
 *
 * What goes wrong counts for the batch alone: what was settled before it stands. A function that failed, its own timeout
 * included, or whose answer breaks the contract, counts as a handler that threw: at most one batch per queue goes by
 * `onFailure`. One that could not be invoked (throttled, unreachable, not permitted, not answered in time) says nothing
 * about the records: they stay where they are and come again with the next invocation, so that a target that is down for
 * an hour does not move a topic into the retry and dead-letter queues. In both cases no further batch is begun.
 */
import { FunctionError, InvokeError, ResponseError } from '../errors.ts'
import type { RecordHandler } from './event-source.ts'
import type { Invoker } from './lambda-invoke.ts'
import type { ResolvedEventSource } from './options.ts'
import type { BatchResponse } from './response.ts'
import type { Verdict } from './settle.ts'

/** What Lambda takes with RequestResponse, in bytes; an event of this size or more is split. */
const MAX_PAYLOAD = 6 * 1024 * 1024

export function targetHandler({ target }: ResolvedEventSource, invoker: Invoker): RecordHandler {
  return async (event, _context, { signal }) => {
    const payload = Buffer.from(JSON.stringify(event))
    if (payload.length >= MAX_PAYLOAD)
      throw new InvokeError(`its event has ${payload.length} bytes, Lambda takes less than ${MAX_PAYLOAD}`, {
        field: 'payload',
        retryable: false,
      })
    const { functionName = '', qualifier } = target ?? {}
    return readJson(await invoker.call({ functionName, qualifier }, payload, signal))
  }
}

/** What an error of a target means for the batch, besides that it failed. */
export function targetVerdict(error: unknown): Partial<Verdict> {
  if (error instanceof FunctionError || error instanceof ResponseError) return {}
  const reason = error instanceof Error ? error.message : String(error)
  if (error instanceof InvokeError && error.field === 'payload')
    return { error: undefined, isTooLarge: true, isCutOff: false, reason }
  return { isCutOff: true, reason }
}

/** What is not JSON cannot be taken for success; nothing at all is what a function without a result gives. */
function readJson(text: string): BatchResponse | undefined {
  if (text === '') return undefined
  try {
    return JSON.parse(text) as BatchResponse
  } catch (cause) {
    throw new ResponseError('the target answered what is no JSON; the whole batch counts as failed', {
      cause,
    })
  }
}
