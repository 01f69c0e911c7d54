/**
 * The trace header that Lambda hands from invocation to invocation, with the lineage by which it finds loops.
 *
 * `Root=1-…;Sampled=0;Lineage=43e12f0f:5|a87bd80c:1`: per function of the chain how often it has been invoked. The runtime
 * puts it into `_X_AMZN_TRACE_ID`, and the AWS SDK in the function sends it along as `X-Amzn-Trace-Id`.
 */
import { createHash, randomBytes } from 'node:crypto'

/** How often one function may be invoked in one chain; Lambda stops the next. */
export const LOOP_LIMIT = 16

export interface Trace {
  /** For the invocation, itself counted. */
  header: string
  /** How often the function has been invoked in this chain before. */
  depth: number
}

/** @param incoming the caller's `X-Amzn-Trace-Id`; without one a chain begins */
export function traceOf(incoming: string | undefined, functionArn: string): Trace {
  const fields = new Map(pairs(incoming ?? '', ';', '='))
  const lineage = new Map(pairs(fields.get('Lineage') ?? '', '|', ':'))
  const id = createHash('sha256').update(functionArn).digest('hex').slice(0, 8)
  const before = Number(lineage.get(id) ?? 0)
  const depth = Number.isSafeInteger(before) ? before : 0
  lineage.set(id, String(depth + 1))
  const root = fields.get('Root') ?? newRoot()
  const parts = [
    `Root=${root}`,
    `Parent=${fields.get('Parent') ?? randomBytes(8).toString('hex')}`,
    `Sampled=${fields.get('Sampled') ?? '0'}`,
    `Lineage=${[...lineage].map((pair) => pair.join(':')).join('|')}`,
  ]
  return { header: parts.join(';'), depth }
}

function newRoot(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16)
  return `1-${seconds}-${randomBytes(12).toString('hex')}`
}

function pairs(text: string, between: string, is: string): [string, string][] {
  return text
    .split(between)
    .filter((each) => each.includes(is))
    .map((each) => [each.slice(0, each.indexOf(is)).trim(), each.slice(each.indexOf(is) + 1).trim()])
}
