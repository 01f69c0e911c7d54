/** What functions print, told apart from the lines that Lambda puts around them; and what they fail with, in a line. */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const OF_LAMBDA = [
  /^(START|END|REPORT) RequestId: /,
  /^INIT_REPORT Init Duration: /,
  // These say what the invocation's outcome says as well.
  /^\S+\t\S+\tERROR\t(Invoke Error|Uncaught Exception)\t/,
  /^RequestId: \S+ Error: Runtime exited /,
  /^\S+ \S+ Task timed out after /,
]

/** Whether the function itself has written it. */
export const isOwnLine = (line: string): boolean => !OF_LAMBDA.some((pattern) => pattern.test(line))

/** `TypeError: x is no function` of AWS's error body, in one line. */
export function errorOf(payload: string): string {
  const { errorType, errorMessage } = JSON.parse(payload) as { errorType?: string; errorMessage?: string }
  const [line = ''] = (errorMessage ?? '').split('\n')
  return `${errorType ?? 'Error'}: ${line}`
}

/** `src/orders.ts:12:3`, the first place of the error's stack that is in the working directory and not in a package. */
export function placeOf(payload: string): string | undefined {
  const { trace = [] } = JSON.parse(payload) as { trace?: readonly string[] }
  return trace
    .map((line) => /^ +at (?:.*\(|async )?((?:file:\/\/)?\/.+?)(:\d+:\d+)\)?$/.exec(line) ?? [])
    .map(([, file = '', at = '']) => (file.startsWith('file:') ? fileURLToPath(file) : file) + at)
    .map((place) => relative(process.cwd(), place))
    .find((place) => place !== '' && !place.startsWith('..') && !place.includes('node_modules'))
}
