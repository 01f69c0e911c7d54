/** What functions print, told apart from the lines that Lambda puts around them. */

const OF_LAMBDA = /^(START|END|REPORT|INIT_REPORT) /
/** The runtime's report of what the function has thrown, which the invocation's outcome has as well. */
const OF_RUNTIME = /^\S+\t\S+\tERROR\t(Invoke Error|Uncaught Exception)\t/

/** Whether the function itself has written it. */
export const isOwnLine = (line: string): boolean => !OF_LAMBDA.test(line) && !OF_RUNTIME.test(line)

/** `TypeError: x is no function` of AWS's error body, in one line. */
export function errorOf(payload: string): string {
  const { errorType, errorMessage } = JSON.parse(payload) as { errorType?: string; errorMessage?: string }
  const [line = ''] = (errorMessage ?? '').split('\n')
  return `${errorType ?? 'Error'}: ${line}`
}
