/** What code under test writes to the standard output itself, not by console. */
import type { TestContext } from 'node:test'

/** The lines of JSON are kept from the output; the test runner speaks over it too, and whatever else goes there still does. */
export function printedJson(
  t: TestContext,
  note: (line: Record<string, unknown>) => void = () => undefined,
): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = []
  const write = process.stdout.write.bind(process.stdout) as (chunk: unknown, ...rest: unknown[]) => boolean
  t.mock.method(process.stdout, 'write', (chunk: unknown, ...rest: unknown[]) => {
    if (typeof chunk !== 'string' || !chunk.startsWith('{"')) return write(chunk, ...rest)
    const line = JSON.parse(chunk) as Record<string, unknown>
    lines.push(line)
    note(line)
    return true
  })
  return lines
}
