/** `rocketmq-lambda dlq list|show|redrive`. */
import type { Command } from 'commander'
import { duration, list, pairs, whole } from '../arguments.ts'
import { YES } from '../confirm.ts'
import { addConnection } from '../connection.ts'
import type { ListOptions } from '../dlq/list.ts'
import type { RedriveCommandOptions } from '../dlq/run-redrive.ts'
import type { ShowOptions } from '../dlq/show.ts'

const MOST = 1_000_000

const EXAMPLES = `
Examples:
  rocketmq-lambda dlq list billing
  rocketmq-lambda dlq show billing broker-a/0@17
  rocketmq-lambda dlq redrive billing --dry-run`

const LIST_EXAMPLES = `
Examples:
  rocketmq-lambda dlq list billing                     the newest 20
  rocketmq-lambda dlq list billing --newer-than 1h --tag created
  rocketmq-lambda dlq list billing --limit 1000 --json`

const SHOW_EXAMPLES = `
Examples:
  rocketmq-lambda dlq show billing broker-a/0@17
  rocketmq-lambda dlq show billing 7F0000010A2B18B4AAC2001D5E4F0000`

const REDRIVE_EXAMPLES = `
Examples:
  rocketmq-lambda dlq redrive billing --dry-run        what would be sent, and where
  rocketmq-lambda dlq redrive billing --limit 1        one, to see whether it works
  rocketmq-lambda dlq redrive billing --rate 50        the others, 50 a second
  rocketmq-lambda dlq redrive billing --tag created --newer-than 2h --to orders-repair --yes`

export function addDlq(program: Command): void {
  const dlq = program
    .command('dlq')
    .summary('list, show and redrive dead letters')
    .description(
      'Dead letters of a consumer group: messages that failed too often, in the topic %DLQ%<group>.',
    )
    .addHelpText('after', EXAMPLES)
  addList(dlq)
  addShow(dlq)
  addRedrive(dlq)
}

function addList(dlq: Command): void {
  const command = dlq
    .command('list')
    .argument('<group>', 'the consumer group')
    .summary('the newest dead letters')
    .description('The newest dead letters of a group, newest first. Changes nothing.')
  addSelection(command)
    .option('--older-than <time>', 'that died longer ago', duration)
    .option('--limit <n>', 'at most so many', whole(1, MOST), 20)
  addFixPermission(addConnection(command))
    .addHelpText('after', LIST_EXAMPLES)
    .action(async (group: string, options: ListOptions) => {
      const { listDeadLetters } = await import('../dlq/list.ts')
      await listDeadLetters(group, options)
    })
}

function addShow(dlq: Command): void {
  const command = dlq
    .command('show')
    .argument('<group>', 'the consumer group')
    .argument('<letter>', 'a message id, or broker/queue@offset as list has it')
    .summary('one dead letter with its body')
    .description(
      'One dead letter with all that it says: the newest one where several have the message id. Changes nothing.',
    )
  addFixPermission(addConnection(command))
    .addHelpText('after', SHOW_EXAMPLES)
    .action(async (group: string, letter: string, options: ShowOptions) => {
      const { showDeadLetter } = await import('../dlq/show.ts')
      await showDeadLetter(group, letter, options)
    })
}

function addRedrive(dlq: Command): void {
  const command = dlq
    .command('redrive')
    .argument('<group>', 'the consumer group')
    .summary('send dead letters again')
    .description(
      'Send dead letters again, to the topics that they were published to, with the same message id, keys, tag and ' +
        'properties. They stay in %DLQ%<group>; how far this has come is a committed offset there, so that a run that was ' +
        'ended, in whatever way, is repeated from where it was. Letters that die meanwhile wait for another run.',
    )
  addSelection(command)
    .option('--older-than <time>', 'those that died longer ago; later ones wait for another run', duration)
    .option('--to <topic>', 'another topic than the original one')
    .option('--limit <n>', 'at most so many', whole(1, MOST))
    .option('--rate <n>', 'messages a second (default: as fast as brokers take them)', whole(1, MOST))
    .option('--max-redrives <n>', 'not those that were redriven n times before', whole(1, 1_000), 3)
    .option('--skip-failed', 'go on after letters that cannot be sent')
    .option(
      '--progress <group>',
      'the group whose offsets are the progress (default: <group>_redrive, with a selection or --to a name of its own)',
    )
    .option('--dry-run', 'say what would be sent, and change nothing')
    .option(...YES)
  addFixPermission(addConnection(command))
    .addHelpText('after', REDRIVE_EXAMPLES)
    .action(async (group: string, options: RedriveCommandOptions) => {
      const { runRedrive } = await import('../dlq/run-redrive.ts')
      await runRedrive(group, options)
    })
}

const addSelection = (command: Command): Command =>
  command
    .option('--tag <tag>', 'those with this tag')
    .option('--key <key>', 'those with this key')
    .option('--property <name=value>', 'those with this property; may be repeated: with all of them', pairs)
    .option('--id <message id>', 'this message; may be repeated: any of them', list)
    .option('--topic <topic>', 'those that were published to this topic')
    .option('--newer-than <time>', 'that died since then: 15m, 2h, 3d', duration)

const addFixPermission = (command: Command): Command =>
  command.option('--fix-permission', 'make a write-only %DLQ% topic readable (perm 6) first')
