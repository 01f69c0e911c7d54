/** `rocketmq-lambda group`. */
import { type Command, InvalidArgumentError } from 'commander'
import { whole } from '../arguments.ts'
import { YES } from '../confirm.ts'
import { addConnection } from '../connection.ts'
import type {
  GroupCreateOptions,
  GroupDeleteOptions,
  GroupListOptions,
  GroupOptions,
  GroupUpdateOptions,
} from '../operate/groups.ts'

const EXAMPLES = `
Examples:
  rocketmq-lambda group list
  rocketmq-lambda group show billing
  rocketmq-lambda group create billing --retry-max 5
  rocketmq-lambda group update billing --consume off
  rocketmq-lambda group members billing
  rocketmq-lambda group delete billing`

export function addGroup(program: Command): void {
  const group = program
    .command('group')
    .summary('list, show, create, update and delete consumer groups')
    .description('List, show, create, update and delete consumer groups.')
    .addHelpText('after', EXAMPLES)

  addConnection(
    group
      .command('list')
      .summary('all consumer groups')
      .description('All consumer groups; those of the brokers only with --all.')
      .option('--all', 'those of the brokers, too'),
  )
    .addHelpText('after', '\nExamples:\n  rocketmq-lambda group list\n  rocketmq-lambda group list --json')
    .action(async (options: GroupListOptions) => {
      const { listGroups } = await import('../operate/groups.ts')
      await listGroups(options)
    })

  addConnection(
    group
      .command('show')
      .summary('settings, members and topics of a group')
      .description(
        'The settings of a group on each broker, the members that are online, and the topics that it has committed offsets of.',
      )
      .argument('<group>'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda group show billing\n  rocketmq-lambda group show billing --json',
    )
    .action(async (name: string, options: GroupOptions) => {
      const { showGroup } = await import('../operate/groups.ts')
      await showGroup(name, options)
    })

  addConnection(
    group
      .command('create')
      .summary('create a group on every broker of the cluster')
      .description(
        'Create a group on every broker of the cluster. One that is there with the same settings is left alone; with other ' +
          'settings it is an error.',
      )
      .argument('<group>')
      .option('--retry-max <n>', 'attempts before a message is a dead letter', whole(0, 1_000_000), 16)
      .option('--retry-queues <n>', 'queues of its retry topic on each broker', whole(0, 65_536), 1)
      .option('--orderly', 'popped messages come in order')
      .option('--cluster <name>', 'where; needed when there are several')
      .option('--broker <name>', 'on this broker only'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda group create billing\n  rocketmq-lambda group create billing --retry-max 5 --cluster eu',
    )
    .action(async (name: string, options: GroupCreateOptions) => {
      const { createGroup } = await import('../operate/groups.ts')
      await createGroup(name, options)
    })

  addConnection(
    group
      .command('update')
      .summary('change settings of a group, or pause it')
      .description(
        'Change settings of a group on every broker that has it: show what will change, ask, and do it. What is not given ' +
          'stays as it is.',
      )
      .argument('<group>')
      .option('--retry-max <n>', 'attempts before a message is a dead letter', whole(0, 1_000_000))
      .option('--retry-queues <n>', 'queues of its retry topic on each broker', whole(0, 65_536))
      .option('--orderly', 'popped messages come in order')
      .option('--no-orderly', 'they come as they come')
      .option('--consume <on|off>', 'off: brokers refuse its reads, until it is on again', onOrOff)
      .option('--cluster <name>', 'on the brokers of this cluster only')
      .option('--broker <name>', 'on this broker only')
      .option(...YES),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda group update billing --retry-max 5\n  rocketmq-lambda group update billing --consume off --yes',
    )
    .action(async (name: string, options: GroupUpdateOptions) => {
      const { updateGroup } = await import('../operate/groups.ts')
      await updateGroup(name, options)
    })

  addConnection(
    group
      .command('delete')
      .summary('delete a group and where it stands')
      .description(
        'Delete a group and the offsets that it has committed: show what will be lost, ask, and do it. Its retry and ' +
          'dead-letter topics stay: delete them as topics.',
      )
      .argument('<group>')
      .option('--cluster <name>', 'on the brokers of this cluster only')
      .option('--broker <name>', 'on this broker only')
      .option(...YES),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda group delete billing\n  rocketmq-lambda group delete billing --yes',
    )
    .action(async (name: string, options: GroupDeleteOptions) => {
      const { deleteGroup } = await import('../operate/groups.ts')
      await deleteGroup(name, options)
    })

  addConnection(
    group
      .command('members')
      .summary('the clients of a group that are online')
      .description(
        'The client ids of a group’s members that are online. Event sources and pull consumers of this package register nowhere, ' +
          'so that they are not among them.',
      )
      .argument('<group>'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  rocketmq-lambda group members billing\n  rocketmq-lambda group members billing --json',
    )
    .action(async (name: string, options: GroupOptions) => {
      const { listMembers } = await import('../operate/groups.ts')
      await listMembers(name, options)
    })
}

function onOrOff(text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on'
  throw new InvalidArgumentError('It takes on or off.')
}
