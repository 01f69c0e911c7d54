/** `rocketmq-lambda peek`. */
import { type Command, Option } from 'commander'
import { offset, queue, time, whole } from '../arguments.ts'
import { addConnection } from '../connection.ts'
import type { PeekOptions } from '../operate/peek.ts'

const MOST = 10_000

const EXAMPLES = `
Examples:
  rocketmq-lambda peek orders                          the newest 10
  rocketmq-lambda peek orders --from 15m --limit 100
  rocketmq-lambda peek orders --queue broker-a/0 --offset 1200 --limit 1
  rocketmq-lambda peek orders --key order-1 --json | jq -r .text
  rocketmq-lambda peek %DLQ%billing --tail 3`

export function addPeek(program: Command): void {
  const command = program
    .command('peek')
    .summary('look at messages, and leave them where they are')
    .description(
      'Look at messages, and leave them where they are: no offset of any group is touched, and no group is made. Without ' +
        '--offset, --from, --key or --id they are the newest. They are printed oldest first, with bodies decompressed and JSON indented.',
    )
    .argument('<topic>', 'also %RETRY%group and %DLQ%group')
    .addOption(
      new Option('--tail <n>', 'the newest so many (default: 10)')
        .argParser(whole(1, MOST))
        .conflicts(['offset', 'from', 'key', 'id']),
    )
    .addOption(
      new Option('--offset <n>', 'from this offset on').argParser(offset).conflicts(['from', 'key', 'id']),
    )
    .addOption(
      new Option('--from <time>', 'stored at or after: 2026-03-01T02:00:00Z, or 15m, 2h, 3d ago')
        .argParser(time)
        .conflicts(['key', 'id']),
    )
    .addOption(new Option('--key <key>', 'with this key, the newest').conflicts(['id']))
    .option('--id <id>', 'with this message id or offset message id')
    .option('--queue <[broker/]id>', 'of one queue, or of that queue on each broker', queue)
    .option('--limit <n>', 'at most so many', whole(1, MOST), 10)
    .option(
      '--max-body <n>',
      'print so many characters of a body; --json has all',
      whole(0, 100_000_000),
      2_000,
    )
  addConnection(command)
    .addHelpText('after', EXAMPLES)
    .action(async (topic: string, options: PeekOptions) => {
      const { runPeek } = await import('../operate/peek.ts')
      await runPeek(topic, options)
    })
}
