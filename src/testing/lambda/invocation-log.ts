/**
 * What a process prints, cut into lines and invocations, with the START, END and REPORT lines around each.
 *
 * The bootstrap ends each invocation with a mark in the output, because the output comes through another pipe than the
 * answer: without it the last lines could be counted to the next invocation.
 */
import type { InvocationReport } from './invocation.ts'

/** The bytes of a log that `LogType: Tail` answers with. */
export const TAIL_BYTES = 4096
/** The bytes of a log that are kept. */
const KEPT_BYTES = 1024 * 1024

/** `\0<request id> <largest resident set in KiB>\n`: see bootstrap.ts. */
const MARK = /\0(\S+) (\d+)\n/

export class InvocationLog {
  readonly #onLine: (line: string, requestId: string | undefined) => void
  readonly #onMark: (requestId: string, maxRssKib: number) => void
  #requestId: string | undefined
  #text = ''
  /** Printed, but not yet a line. */
  #rest = ''

  constructor(
    onLine: (line: string, requestId: string | undefined) => void,
    onMark: (requestId: string, maxRssKib: number) => void,
  ) {
    this.#onLine = onLine
    this.#onMark = onMark
  }

  /** Output of the process. */
  push(chunk: string): void {
    this.#rest += chunk
    for (let mark = MARK.exec(this.#rest); mark; mark = MARK.exec(this.#rest)) {
      const after = this.#rest.slice(mark.index + mark[0].length)
      this.#rest = this.#rest.slice(0, mark.index)
      this.#lines()
      this.flush()
      this.#rest = after
      this.#onMark(mark[1] ?? '', Number(mark[2]))
    }
    // A mark that is not complete is never longer than its line.
    this.#lines()
  }

  /** A line of Lambda's own. */
  line(text: string): void {
    this.#text = `${this.#text}${text}\n`.slice(-KEPT_BYTES)
    this.#onLine(text, this.#requestId)
  }

  /** What is left counts as a line. */
  flush(): void {
    if (this.#rest !== '') this.line(this.#rest)
    this.#rest = ''
  }

  begin(requestId: string): void {
    this.#requestId = requestId
    this.#text = ''
    this.line(`START RequestId: ${requestId} Version: $LATEST`)
  }

  /** Writes the closing lines; gives back the whole log of the invocation. */
  end(requestId: string, report: InvocationReport, note = ''): string {
    this.line(`END RequestId: ${requestId}`)
    this.line(reportLine(requestId, report, note))
    return this.take()
  }

  /** What was printed since the beginning or the last end. */
  take(): string {
    const text = this.#text
    this.#requestId = undefined
    this.#text = ''
    return text
  }

  #lines(): void {
    for (let end = this.#rest.indexOf('\n'); end >= 0; end = this.#rest.indexOf('\n')) {
      const line = this.#rest.slice(0, end)
      this.#rest = this.#rest.slice(end + 1)
      this.line(line)
    }
  }
}

function reportLine(requestId: string, report: InvocationReport, note: string): string {
  const { durationMs, billedMs, memorySize, maxMemoryUsed, initMs, status } = report
  const parts = [
    `REPORT RequestId: ${requestId}`,
    `Duration: ${durationMs.toFixed(2)} ms`,
    `Billed Duration: ${billedMs} ms`,
    `Memory Size: ${memorySize} MB`,
    `Max Memory Used: ${maxMemoryUsed} MB`,
    ...(initMs === undefined ? [] : [`Init Duration: ${initMs.toFixed(2)} ms`]),
    ...(status === 'success' ? [] : [`Status: ${status}`]),
    ...(note === '' ? [] : [note]),
  ]
  return `${parts.join('\t')}\t`
}

/** The end of a log, as `X-Amz-Log-Result` has it. */
export const tailOf = (log: string): string => Buffer.from(log).subarray(-TAIL_BYTES).toString('base64')
