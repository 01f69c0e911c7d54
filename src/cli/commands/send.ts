/** `rocketmq-lambda send`. */
import { type Command, Option } from 'commander'
import { duration, list, pairs, queue, whole } from '../arguments.ts'
import { addConnection } from '../connection.ts'
import type { SendOptions } from '../operate/send.ts'

const EXAMPLES = `
Examples:
  rocketmq-lambda send orders '{"order":1}' --tag created --key order-1
  rocketmq-lambda send orders --file order.json --property source=shell
  date | rocketmq-lambda send orders - --delay 10m --json`

export function addSend(program: Command): void {
  const command = program
    .command('send')
    .summary('store a message, and say where')
    .description(
      'Store a message in a topic that is there, and say where. The bytes of a file or of stdin are sent as they are.',
    )
    .argument('<topic>')
    .argument('[body]', 'its text, or - for stdin')
    .option('--file <file>', 'the body is what this file holds')
    .option('--tag <tag>', 'its tag')
    .option('--key <key>', 'a key to find it by; may be repeated', list)
    .option('--property <name=value>', 'a property; may be repeated', pairs)
    .option('--sharding-key <key>', 'messages with the same key keep their order: they go to the same queue')
    .option('--queue <broker/id>', 'the queue to store it in', queue)
    .addOption(
      new Option('--delay <time>', 'deliver it so much later, such as 30s or 2h (brokers from 5.0 on)')
        .argParser(duration)
        .conflicts('delayLevel'),
    )
    .option('--delay-level <n>', 'deliver it later, by a level of the brokers: 1 to 18', whole(1, 18))
  addConnection(command)
    .addHelpText('after', EXAMPLES)
    .action(async (topic: string, body: string | undefined, options: SendOptions) => {
      const { runSend } = await import('../operate/send.ts')
      await runSend(topic, body, options)
    })
}
