/** `dlq redrive`: says what will be sent and asks, shows how far it is, and sums up. */
import { checkGroupName } from '../../wire/names.ts'
import { confirmed } from '../confirm.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { sayingGrants } from '../grants.ts'
import { naming } from '../naming.ts'
import { checkOwnGroup } from '../operate/groups.ts'
import { dim, lineOf, printJson } from '../output.ts'
import { checkTarget } from '../target.ts'
import { type DeadLetterQueues, findDeadLetters, placeOf } from './letters.ts'
import { countOf, planRedrive, type QueuePlan, type RedriveResult, redrive } from './redrive.ts'
import { progressGroupOf, type Selection } from './selection.ts'

export interface RedriveCommandOptions extends ConnectionOptions, Selection {
  olderThan?: number
  to?: string
  limit?: number
  rate?: number
  maxRedrives: number
  skipFailed?: boolean
  progress?: string
  dryRun?: boolean
  yes?: boolean
  fixPermission?: boolean
}

const FIELDS = { consumerGroup: '<group>', to: '--to', progress: '--progress' }
const SHOWN_PROBLEMS = 10
const WAITING = 'Another run holds the dead letters, or was killed a moment ago: waiting up to a minute.'

export async function runRedrive(consumerGroup: string, options: RedriveCommandOptions): Promise<void> {
  const { to, dryRun, yes, fixPermission, json } = options
  await withClient(options, async (client) => {
    checkGroupName(consumerGroup)
    if (to !== undefined) checkTarget('to', to)
    const progressGroup = checkGroupName(
      options.progress ?? progressGroupOf(consumerGroup, options, to),
      'progress',
    )
    checkOwnGroup(progressGroup, '--progress')
    const deadLetters = await findDeadLetters(client, consumerGroup, fixPermission)
    // It fails now, not with the first letter.
    if (to !== undefined) await client.route(to, client.deadline())
    const plan = await planRedrive(client, { deadLetters, progressGroup })
    const count = countOf(plan)
    describe(consumerGroup, deadLetters, progressGroup, plan, options)
    if (count > 0 && !dryRun && !(await confirmed('Send them?', yes))) return
    const shown = showProgress(count, json)
    const stop = stopOnSignal()
    const result = await redrive(client, {
      ...options,
      ...{ consumerGroup, deadLetters, progressGroup, selection: options, shown: plan, signal: stop.signal },
      onProgress: (progress) => shown.show(progress),
      onWait: () => console.error(WAITING),
    }).finally(() => {
      shown.end()
      stop.end()
    })
    report(result, { consumerGroup, topic: deadLetters.topic, progressGroup, dryRun: dryRun === true }, json)
    if (stop.signal.aborted && result.left > 0) throw new Error('stopped; the same command goes on from here')
    if (result.error !== undefined) throw result.error
    if (result.refused + result.failed > 0) process.exitCode = 1
  }).catch(naming(FIELDS))
}

function describe(
  consumerGroup: string,
  { topic }: DeadLetterQueues,
  progressGroup: string,
  plan: readonly QueuePlan[],
  { to, limit, json }: RedriveCommandOptions,
): void {
  const say = json ? console.error : console.log
  const count = countOf(plan)
  if (count === 0) {
    say(`No dead letters of ${consumerGroup} wait in ${topic}; progress: ${progressGroup}.`)
    return
  }
  const most = limit === undefined || limit >= count ? '' : `, at most ${limit} of them`
  say(`Dead letters in ${topic}: ${count}, to ${to ?? 'the topics that they were published to'}${most}:`)
  for (const { queue, from, end } of plan)
    if (end > from) say(dim(`   ${placeOf(queue, from)} to ${end - 1n}`))
  say(dim(`   progress: the offsets of group ${progressGroup}`))
}

/** On a terminal only: a line that is written over, ten times a second at most. */
function showProgress(count: number, json: boolean | undefined) {
  const isShown = process.stderr.isTTY && !json
  let shownAt = 0
  const write = (text: string): boolean => process.stderr.write(`\r\u001b[K${text}`)
  return {
    show({ read, redriven }: { read: number; redriven: number }): void {
      if (!isShown || Date.now() - shownAt < 100) return
      shownAt = Date.now()
      write(`${read} of ${count} read, ${redriven} sent`)
    },
    end(): void {
      if (isShown) write('')
    },
  }
}

/** The batch in flight is finished; a second signal ends at once. */
function stopOnSignal(): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController()
  const stop = (): void => {
    end()
    controller.abort()
  }
  const end = (): void => {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  return { signal: controller.signal, end }
}

function report(
  result: RedriveResult,
  about: { consumerGroup: string; topic: string; progressGroup: string; dryRun: boolean },
  json: boolean | undefined,
): void {
  const { error, ...counts } = result
  const problems = counts.problems.map((each) => ({ ...each, reason: sayingGrants(each.reason) }))
  if (json) {
    const ended = error === undefined ? {} : { error: sayingGrants(lineOf(error)) }
    printJson({ ...about, ...counts, problems, ...ended })
    return
  }
  const { redriven, byTopic, notSelected, refused, failed, left } = counts
  for (const { place, messageId = '', reason } of problems.slice(0, SHOWN_PROBLEMS))
    console.error(`${place} ${messageId} ${lineOf(new Error(reason))}`)
  if (problems.length > SHOWN_PROBLEMS) console.error(`… and ${refused + failed - SHOWN_PROBLEMS} more`)
  const topics = Object.entries(byTopic).map(([topic, count]) => ` ${count} to ${topic}`)
  const verb = about.dryRun ? 'would be sent' : 'sent'
  const parts = [
    `${redriven} ${verb}${topics.length > 0 ? `:${topics.join(',')}` : ''}`,
    notSelected > 0 ? `${notSelected} not selected` : '',
    refused > 0 ? `${refused} refused, redriven too often before (--max-redrives)` : '',
    failed > 0 ? `${failed} failed` : '',
    left > 0 ? `${left} left` : '',
  ]
  console.log(`${parts.filter(Boolean).join('; ')}.`)
}
