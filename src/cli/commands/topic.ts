/** `rocketmq-lambda topic`. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { pairs, whole } from '../arguments.ts'
import { YES } from '../confirm.ts'
import { addConnection } from '../connection.ts'
import type {
  TopicCreateOptions,
  TopicDeleteOptions,
  TopicListOptions,
  TopicOptions,
  TopicUpdateOptions,
} from '../operate/topics.ts'

const PERMISSIONS: Readonly<Record<string, number>> = { rw: 6, r: 4, w: 2 }

const EXAMPLES = `
Examples:
  rocketmq-lambda topic list
  rocketmq-lambda topic show orders
  rocketmq-lambda topic create orders --queues 16
  rocketmq-lambda topic update orders --queues 32
  rocketmq-lambda topic delete orders`

export function addTopic(program: Command): void {
  const topic = program
    .command('topic')
    .summary('list, show, create, update and delete topics')
    .description('List, show, create, update and delete topics.')
    .addHelpText('after', EXAMPLES)

  addConnection(
    topic
      .command('list')
      .summary('all topics and what they are for')
      .description(
        'All topics that the name servers know, and what they are for; those of the brokers only with --all.',
      )
      .option('--all', 'those of the brokers, too'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda topic list\n  rocketmq-lambda topic list --all --json',
    )
    .action(async (options: TopicListOptions) => {
      const { listTopics } = await import('../operate/topics.ts')
      await listTopics(options)
    })

  addConnection(
    topic
      .command('show')
      .summary('settings, queues and consumer groups of a topic')
      .description(
        'The settings of a topic on each broker, the ends of its queues, and the groups that consume it.',
      )
      .argument('<topic>'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda topic show orders\n  rocketmq-lambda topic show orders --json',
    )
    .action(async (name: string, options: TopicOptions) => {
      const { showTopic } = await import('../operate/topics.ts')
      await showTopic(name, options)
    })

  addConnection(
    topic
      .command('create')
      .summary('create a topic on every broker of the cluster')
      .description(
        'Create a topic on every broker of the cluster. One that is there with the same settings is left alone; with other ' +
          'settings it is an error.',
      )
      .argument('<topic>')
      .option('--queues <n>', 'queues on each broker', whole(1, 65_536), 8)
      .addOption(
        new Option('--perm <rw|r|w>', 'what clients may do: read and write, read, write')
          .argParser(permission)
          .default(6, 'rw'),
      )
      .option('--type <type>', 'of its messages: NORMAL, FIFO, DELAY, TRANSACTION or MIXED', messageType)
      .option('--attribute <name=value>', 'another attribute; may be repeated', pairs)
      .option('--order', 'the order of its queues is fixed, also while a broker is away')
      .option('--cluster <name>', 'where; needed when there are several')
      .option('--broker <name>', 'on this broker only'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda topic create orders --queues 16\n  rocketmq-lambda topic create payments --type FIFO --cluster eu',
    )
    .action(async (name: string, options: TopicCreateOptions) => {
      const { createTopic } = await import('../operate/topics.ts')
      await createTopic(name, options)
    })

  addConnection(
    topic
      .command('update')
      .summary('change settings of a topic')
      .description(
        'Change settings of a topic on every broker that has it: show what will change, ask, and do it. What is not given ' +
          'stays as it is.',
      )
      .argument('<topic>', 'also %RETRY%group and %DLQ%group')
      .option('--queues <n>', 'queues on each broker', whole(1, 65_536))
      .option('--write-queues <n>', 'of these, how many are written to', whole(1, 65_536))
      .addOption(
        new Option('--perm <rw|r|w>', 'what clients may do: read and write, read, write').argParser(
          permission,
        ),
      )
      .option('--type <type>', 'of its messages: NORMAL, FIFO, DELAY, TRANSACTION or MIXED', messageType)
      .option('--attribute <name=value>', 'another attribute; may be repeated', pairs)
      .option('--order', 'the order of its queues is fixed, also while a broker is away')
      .option('--no-order', 'it is not')
      .option('--cluster <name>', 'on the brokers of this cluster only')
      .option('--broker <name>', 'on this broker only')
      .option(...YES),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda topic update orders --queues 32\n  rocketmq-lambda topic update orders --perm r --broker broker-a --yes',
    )
    .action(async (name: string, options: TopicUpdateOptions) => {
      const { updateTopic } = await import('../operate/topics.ts')
      await updateTopic(name, options)
    })

  addConnection(
    topic
      .command('delete')
      .summary('delete a topic with its messages')
      .description(
        'Delete a topic with its messages, on every broker and name server: show what will be lost, ask, and do it.',
      )
      .argument('<topic>', 'also %RETRY%group and %DLQ%group')
      .option('--cluster <name>', 'on the brokers of this cluster only')
      .option(...YES),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda topic delete orders\n  rocketmq-lambda topic delete %DLQ%billing --yes',
    )
    .action(async (name: string, options: TopicDeleteOptions) => {
      const { deleteTopic } = await import('../operate/topics.ts')
      await deleteTopic(name, options)
    })
}

function permission(text: string): number {
  const perm = PERMISSIONS[text]
  if (perm === undefined) throw new InvalidArgumentError('It takes rw, r or w.')
  return perm
}

function messageType(text: string): string {
  if (['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'MIXED'].includes(text)) return text
  throw new InvalidArgumentError('It takes NORMAL, FIFO, DELAY, TRANSACTION or MIXED.')
}
