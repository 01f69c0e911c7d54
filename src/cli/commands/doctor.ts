/** `rocketmq-lambda doctor`. */
import { type Command, Option } from 'commander'
import { duration, list } from '../arguments.ts'
import { addConnection } from '../connection.ts'
import { type DoctorOptions, FUNCTIONS } from '../doctor/options.ts'

const EXAMPLES = `
Examples:
  rocketmq-lambda doctor
  rocketmq-lambda doctor --function publish --topic orders
  rocketmq-lambda doctor --function consume --topic orders --group billing
  rocketmq-lambda doctor --function check-transactions --topic orders --window 35s --every 2m`

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('check what a function needs, from here')
    .description(
      'Check from this machine what a function needs: name servers, the address and the clock of every broker, TLS, credentials, topics, groups, ' +
        'permissions, and the schedule of the transaction check. Changes nothing. A line for each, with what to do; ' +
        'exits with 1 when one fails. Run it where the function runs: another subnet sees other things.',
    )
    .addOption(new Option('--function <name>', 'what the credentials are for').choices(FUNCTIONS))
    .option('--topic <topic>', 'a topic that it uses; may be repeated', list)
    .option('--group <group>', 'the consumer group')
    .addOption(time('--window <time>', 'of check-transactions: how long it waits for checks', 35_000, '35s'))
    .addOption(time('--every <time>', 'of check-transactions: its schedule', 120_000, '2m'))
  addConnection(command)
    .addHelpText('after', EXAMPLES)
    .action(async (options: DoctorOptions) => {
      const { runDoctor } = await import('../doctor/run.ts')
      await runDoctor(options)
    })
}

const time = (flags: string, description: string, ms: number, text: string): Option =>
  new Option(flags, description).argParser(duration).default(ms, text)
