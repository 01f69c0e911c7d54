/** `rocketmq-lambda lag`. */
import type { Command } from 'commander'
import { seconds } from '../arguments.ts'
import { addConnection } from '../connection.ts'
import type { LagOptions } from '../operate/lag.ts'

const EXAMPLES = `
Examples:
  rocketmq-lambda lag billing
  rocketmq-lambda lag billing orders --watch 5
  rocketmq-lambda lag billing --json | jq -r .lag`

export function addLag(program: Command): void {
  const command = program
    .command('lag')
    .summary('how far a consumer group is behind, queue by queue')
    .description(
      'How far a consumer group is behind, queue by queue: of every topic that it has committed offsets of, its retry topic ' +
        'included, and how many dead letters it has. The numbers are those of mqadmin consumerProgress.',
    )
    .argument('<group>')
    .argument('[topic]', 'of this topic only')
    .option('--watch [seconds]', 'again and again until Ctrl-C (every 2 seconds)', seconds)
  addConnection(command)
    .addHelpText('after', EXAMPLES)
    .action(async (group: string, topic: string | undefined, options: LagOptions) => {
      const { runLag } = await import('../operate/lag.ts')
      await runLag(group, topic, options)
    })
}
