/** `rocketmq-lambda reset`: a plan is shown, and that plan is done. */
import { createOffsetAdmin, type QueueReset, type ResetPlan } from '../../client/admin/offsets.ts'
import { createPullConsumer } from '../../client/puller.ts'
import type { ChosenQueue } from '../arguments.ts'
import { confirmed } from '../confirm.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { bold, dim, printJson, table, timestamp } from '../output.ts'
import { checkOwnGroup } from './groups.ts'
import { chooseQueues } from './peek.ts'

export type Target = 'earliest' | 'latest' | { offset: bigint } | { timestamp: number }

export interface ResetOptions extends ConnectionOptions {
  to: Target
  queue?: ChosenQueue
  dryRun?: boolean
  yes?: boolean
}

export async function runReset(consumerGroup: string, topic: string, options: ResetOptions): Promise<void> {
  const { to, queue, dryRun, yes, json } = options
  checkOwnGroup(consumerGroup)
  await withClient(options, async (client) => {
    const offsets = createOffsetAdmin(client)
    const about =
      queue === undefined
        ? { topic }
        : { queues: await chooseQueues(createPullConsumer(client, { consumerGroup }), topic, queue) }
    const plan = await offsets.plan({ consumerGroup, to, ...about }).catch(naming({ 'to.offset': '--to' }))
    const moving = plan.queues.filter(({ from, to: target }) => from !== target)
    const print = (line: string): void => (json ? console.error(line) : console.log(line))
    if (!(json && dryRun)) for (const line of linesOf(plan, moving, topic, to)) print(line)
    if (!dryRun && moving.length > 0) {
      if (!(await confirmed(`Reset ${consumerGroup} on ${topic}?`, yes))) return
      await offsets.reset(plan)
      print(`Done: ${consumerGroup} goes on from there.`)
    }
    if (json)
      printJson({
        consumerGroup: plan.consumerGroup,
        queues: plan.queues,
        done: !dryRun && moving.length > 0,
      })
  })
}

function linesOf(plan: ResetPlan, moving: readonly QueueReset[], topic: string, to: Target): string[] {
  const { consumerGroup, queues } = plan
  const rows = queues.map((each) => [
    `${each.queue.brokerName}/${each.queue.queueId}`,
    each.from === undefined ? 'none' : String(each.from),
    String(each.to),
    changeOf(each),
  ])
  return [
    bold(`${consumerGroup} on ${topic}, to ${placeOf(to)}`),
    '',
    ...table([['queue', 'from', 'to', ''], ...rows], (line, index) => (index === 0 ? dim(line) : line)),
    '',
    moving.length === 0 ? 'Nothing to move.' : sumOf(moving),
  ]
}

const placeOf = (to: Target): string => {
  if (typeof to === 'string') return to
  return 'offset' in to ? `offset ${to.offset}` : timestamp(to.timestamp)
}

function changeOf({ from, to }: QueueReset): string {
  if (from === undefined) return 'begins there'
  if (to === from) return 'stays'
  return to < from ? `${from - to} again` : `${to - from} skipped`
}

/** `12 messages again in 3 queues, 4 skipped in 1 queue.` */
function sumOf(moving: readonly QueueReset[]): string {
  const parts = [
    ['delivered again', moving.filter(({ from, to }) => from !== undefined && to < from)],
    ['skipped', moving.filter(({ from, to }) => from !== undefined && to > from)],
  ] as const
  const begins = moving.filter(({ from }) => from === undefined).length
  const text = [
    ...parts.flatMap(([what, queues]) => {
      const count = queues.reduce((sum, { from = 0n, to }) => sum + (to > from ? to - from : from - to), 0n)
      return queues.length > 0 ? [`messages ${what}: ${count}`] : []
    }),
    ...(begins > 0 ? [`queues without an offset, where it begins there: ${begins}`] : []),
  ].join('; ')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
