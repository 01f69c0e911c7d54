/** What `dev` prints while it runs, a line each: invocations, what functions print, replaced code, the lag of queues. */

import type { FailedEvent, InvocationRecord, LocalBroker, LogLine, QueueLag } from '../../testing/index.ts'
import { answerOf } from '../../testing/lambda/http-payload.ts'
import { errorOf, isOwnLine, placeOf } from '../function-lines.ts'
import { dim, green, red, timeOf } from '../output.ts'

const LAG = 'lag'

export class Activity {
  readonly #broker: Pick<LocalBroker, 'lag'>
  readonly #width: number
  /** What was said of each group and topic. */
  readonly #lags = new Map<string, string>()

  /** @param names of all functions */
  constructor(broker: Pick<LocalBroker, 'lag'>, names: readonly string[]) {
    this.#broker = broker
    this.#width = Math.max(...[LAG, ...names].map((name) => name.length))
  }

  /** One line that a function has written; those of Lambda are left out. */
  line({ functionName, line }: LogLine): void {
    if (isOwnLine(line)) this.#print(functionName, dim(`│ ${line}`))
  }

  invocation(record: InvocationRecord): void {
    const { functionName, startedBy, report, functionError, payload } = record
    const outcome = functionError ? red(failureOf(payload)) : outcomeOf(startedBy, payload)
    this.#print(functionName, `${startedBy} → ${outcome}  ${dim(timeOf(report))}`)
    this.lag(this.#broker.lag())
  }

  failedEvent({
    requestContext: { functionArn, condition, approximateInvokeCount: count },
  }: FailedEvent): void {
    const [, name = ''] = /:function:([\w-]+)/.exec(functionArn) ?? []
    this.#print(
      name,
      red(`event given up after ${count} ${count === 1 ? 'attempt' : 'attempts'}: ${condition}`),
    )
  }

  replaced(name: string, source: string): void {
    this.#print(name, `new code from ${source}`)
  }

  notReplaced(name: string, why: string): void {
    this.#print(name, red(`goes on as it was: ${why}`))
  }

  /** One line for each group and topic of which something else is to be said than before. */
  lag(rows: readonly QueueLag[]): void {
    const groups = Map.groupBy(rows, ({ consumerGroup, queue }) => `${consumerGroup} of ${queue.topic}`)
    for (const [group, queues] of groups) {
      const said = lagOf(queues)
      if (this.#lags.get(group) === said) continue
      this.#lags.set(group, said)
      this.#print(LAG, `${group}: ${said}`)
    }
  }

  #print(name: string, text: string): void {
    const time = new Date().toTimeString().slice(0, 8)
    console.log(`${dim(time)}  ${name.padEnd(this.#width)}  ${text}`)
  }
}

function failureOf(payload: string): string {
  const place = placeOf(payload)
  return `${errorOf(payload)}${place === undefined ? '' : ` (${place})`}`
}

/** `200` of an HTTP answer, `handled 3, failed 1` of a consumer, or what every function does. */
function outcomeOf(startedBy: string, payload: string): string {
  if (isRequest(startedBy)) {
    const answer = answerOf(Buffer.from(payload))
    return answer ? green(String(answer.statusCode)) : red('500: it is no answer to an HTTP request')
  }
  const result = JSON.parse(payload) as { statusCode?: unknown; handled?: unknown; failed?: unknown } | null
  if (typeof result?.statusCode === 'number') return green(String(result.statusCode))
  if (typeof result?.handled !== 'number') return green('ok')
  const failed = typeof result.failed === 'number' ? result.failed : 0
  return green(`handled ${result.handled}${failed > 0 ? `, failed ${failed}` : ''}`)
}

/** `GET /orders`, in contrast to `schedule` and `invoke`. */
const isRequest = (startedBy: string): boolean => startedBy.includes(' ')

function lagOf(queues: readonly QueueLag[]): string {
  const behind = queues.filter(({ lag }) => lag > 0n)
  if (behind.length === 0) return '0'
  const all = behind.reduce((sum, { lag }) => sum + lag, 0n)
  const brokers = new Set(queues.map(({ queue }) => queue.brokerName))
  const parts = behind.map(({ queue: { brokerName, queueId }, lag }) =>
    brokers.size > 1 ? `${brokerName}/${queueId}: ${lag}` : `queue ${queueId}: ${lag}`,
  )
  return `${all} (${parts.join(', ')})`
}
