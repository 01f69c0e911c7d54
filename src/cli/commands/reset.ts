/** `rocketmq-lambda reset`. */
import { type Command, InvalidArgumentError } from 'commander'
import { offset, queue, timeOf } from '../arguments.ts'
import { YES } from '../confirm.ts'
import { addConnection } from '../connection.ts'
import type { ResetOptions, Target } from '../operate/reset.ts'

const EXAMPLES = `
Examples:
  rocketmq-lambda reset billing orders --to earliest --dry-run
  rocketmq-lambda reset billing orders --to 2h
  rocketmq-lambda reset billing orders --to 2026-03-01T02:00:00Z --yes
  rocketmq-lambda reset billing orders --queue broker-a/0 --to 1200`

export function addReset(program: Command): void {
  const command = program
    .command('reset')
    .summary('move a consumer group to another place of a topic')
    .description(
      'Move a consumer group to another place of a topic: show what will move, queue by queue, ask, and do exactly that. ' +
        'What it goes back by is delivered again; what it goes on by is never delivered to it.',
    )
    .argument('<group>')
    .argument('<topic>', 'also %RETRY%group')
    .requiredOption(
      '--to <place>',
      'earliest, latest, an offset, or the first message stored at or after a time: 2026-03-01T02:00:00Z, or 15m, 2h, 3d ago',
      target,
    )
    .option('--queue <[broker/]id>', 'of one queue, or of that queue on each broker', queue)
    .option('--dry-run', 'show what would move, and change nothing')
    .option(...YES)
  addConnection(command)
    .addHelpText('after', EXAMPLES)
    .action(async (group: string, topic: string, options: ResetOptions) => {
      const { runReset } = await import('../operate/reset.ts')
      await runReset(group, topic, options)
    })
}

function target(text: string): Target {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return { offset: offset(text) }
  const timestamp = timeOf(text)
  if (timestamp !== undefined) return { timestamp }
  throw new InvalidArgumentError(
    'It takes earliest, latest, an offset, a time such as 2026-03-01T02:00:00Z, or how long ago: 15m, 2h, 3d.',
  )
}
