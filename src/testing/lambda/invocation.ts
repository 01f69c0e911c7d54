/** What is handed to a function, what comes back, and the limits of both. */

/** Largest payload of `RequestResponse`, request and answer, in bytes: 6 MiB. */
export const MAX_SYNC_PAYLOAD: number = 6 * 1024 * 1024
/** Largest payload of `Event`, in bytes: 1 MiB, as since October 2025. */
export const MAX_EVENT_PAYLOAD: number = 1024 * 1024
/** What Lambda allows an answer to be above the limit, in bytes. */
const RESPONSE_SLACK = 100
/** Largest answer of a function, in bytes. */
export const MAX_RESPONSE_PAYLOAD: number = MAX_SYNC_PAYLOAD + RESPONSE_SLACK

/** One event on its way to a function. */
export interface Invocation {
  requestId: string
  /** JSON. */
  payload: Buffer
  invokedFunctionArn: string
  /** As in `_X_AMZN_TRACE_ID`. */
  trace: string
  /** JSON. */
  clientContext?: string
  /** For `onInvocation`: see InvocationRecord. */
  startedBy: string
}

/** What the REPORT line says. */
export interface InvocationReport {
  /** Milliseconds in the handler. */
  durationMs: number
  /** Milliseconds that AWS would bill: initialisation and duration, rounded up. */
  billedMs: number
  /** Milliseconds of the initialisation; only on a cold start. */
  initMs?: number
  /** MB of the function. */
  memorySize: number
  /** MB that the process has used at most; 0 when it was killed before it could say. */
  maxMemoryUsed: number
  status: 'success' | 'error' | 'timeout'
}

/** How an invocation ended. */
export interface InvocationOutcome {
  requestId: string
  /** Process id of the environment that had it; undefined when that could not be started. */
  pid?: number
  /** JSON: what the handler returned, or AWS's error body. */
  payload: Buffer
  /** The payload is an error. */
  functionError?: 'Unhandled'
  /** What was printed, between the START line and the REPORT line; the last MiB of it. */
  log: string
  report: InvocationReport
}

/** The body of a function error. */
export interface FunctionErrorBody {
  errorType: string
  errorMessage: string
  trace?: readonly string[]
}

export const errorPayload = (errorType: string, errorMessage: string): Buffer =>
  Buffer.from(JSON.stringify({ errorType, errorMessage } satisfies FunctionErrorBody))
