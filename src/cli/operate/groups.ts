/** `rocketmq-lambda group`: what there is of consumer groups; making, changing and deleting them. */
import { createGroupAdmin, type GroupOnBroker, type GroupStats } from '../../client/admin/groups.ts'
import { ConfigError } from '../../errors.ts'
import { confirmed } from '../confirm.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { bold, dim, oneLine, printJson, table } from '../output.ts'
import { changesOf, linesOfChanges } from './changes.ts'

export type GroupOptions = ConnectionOptions

export interface GroupListOptions extends ConnectionOptions {
  all?: boolean
}

export interface GroupCreateOptions extends ConnectionOptions {
  retryMax: number
  retryQueues: number
  orderly?: boolean
  cluster?: string
  broker?: string
}

export interface GroupUpdateOptions extends ConnectionOptions {
  retryMax?: number
  retryQueues?: number
  orderly?: boolean
  consume?: boolean
  cluster?: string
  broker?: string
  yes?: boolean
}

export interface GroupDeleteOptions extends ConnectionOptions {
  cluster?: string
  broker?: string
  yes?: boolean
}

/** Those that every broker has (upstream MixAll.PREDEFINE_GROUP_SET and the groups of SubscriptionGroupManager). */
const OF_BROKERS =
  /^(CID_RMQ_SYS_.*|CID_ONSAPI_(PULL|PERMISSION|OWNER)|CID_ONS-HTTP-PROXY|TOOLS_CONSUMER|FILTERSRV_CONSUMER|SELF_TEST_C_GROUP|SELF_TEST_P_GROUP|__MONITOR_CONSUMER|CLIENT_INNER_PRODUCER|DEFAULT_CONSUMER|DEFAULT_PRODUCER)$/

/** `peek` and mqadmin read as one of them, and brokers do their own work as others. */
export function checkOwnGroup(group: string, option = '<group>'): void {
  if (OF_BROKERS.test(group)) throw new ConfigError(option, `${group} belongs to the brokers`)
}

export async function listGroups(options: GroupListOptions): Promise<void> {
  await withClient(options, async (client) => {
    const all = await createGroupAdmin(client).list()
    const shown = all.filter((name) => options.all || !OF_BROKERS.test(name))
    if (options.json) printJson(shown)
    else if (shown.length === 0) console.log('There is no consumer group but those of the brokers: --all.')
    else for (const name of shown) console.log(oneLine(name))
  })
}

export async function showGroup(group: string, options: GroupOptions): Promise<void> {
  await withClient(options, async (client) => {
    const groups = createGroupAdmin(client)
    const brokers = await groups.describe(group)
    const [members, stats] = await Promise.all([groups.members(group), groups.stats(group)])
    const topics = topicsOf(stats)
    if (options.json) {
      printJson({ consumerGroup: group, brokers, members, topics })
      return
    }
    const lines = [
      bold(group),
      '',
      ...withHead(['broker', 'address', 'attempts', 'retry queues', ''], brokers.map(brokerRow)),
      '',
      ...(topics.length === 0
        ? ['It has not committed any offset yet.']
        : withHead(
            ['topic', 'queues', 'lag'],
            topics.map(({ topic, queues, lag }) => [topic, String(queues), String(lag)]),
          )),
      '',
      `members online: ${listOf(members)}`,
    ]
    for (const line of lines) console.log(line)
  })
}

const withHead = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  table([head, ...rows], (line, index) => (index === 0 ? dim(line) : line))

const brokerRow = ({ brokerName, address, config }: GroupOnBroker): string[] => [
  brokerName,
  address,
  String(config.retryMaxTimes),
  String(config.retryQueueNums),
  [
    ...(config.consumeEnable ? [] : ['may not consume']),
    ...(config.consumeMessageOrderly ? ['pops in order'] : []),
  ].join(', '),
]

function topicsOf({ queues }: GroupStats): { topic: string; queues: number; lag: bigint }[] {
  return [...Map.groupBy(queues, ({ queue }) => queue.topic)].map(([topic, own]) => ({
    topic,
    queues: own.length,
    lag: own.reduce((sum, { lag }) => sum + lag, 0n),
  }))
}

export async function createGroup(group: string, options: GroupCreateOptions): Promise<void> {
  const { retryMax, retryQueues, orderly = false, cluster, broker: brokerName, json } = options
  checkOwnGroup(group)
  await withClient(options, async (client) => {
    const settings = { retryMaxTimes: retryMax, retryQueueNums: retryQueues, consumeMessageOrderly: orderly }
    const created = await createGroupAdmin(client).create(group, settings, { cluster, brokerName })
    if (json) printJson(created)
    else console.log(`${group} is on ${namesOf(created)}.`)
  })
}

export async function updateGroup(group: string, options: GroupUpdateOptions): Promise<void> {
  const { retryMax, retryQueues, orderly, consume, cluster, broker: brokerName, yes, json } = options
  const given = Object.entries({
    retryMaxTimes: retryMax,
    retryQueueNums: retryQueues,
    consumeMessageOrderly: orderly,
    consumeEnable: consume,
  }).filter(([, value]) => value !== undefined)
  if (given.length === 0)
    throw new ConfigError('group update', 'give what shall change: --retry-max, --consume, …')
  checkOwnGroup(group)
  const settings: Partial<GroupOnBroker['config']> = Object.fromEntries(given)
  await withClient(options, async (client) => {
    const groups = createGroupAdmin(client)
    const print = (line: string): void => (json ? console.error(line) : console.log(line))
    const brokers = await groups.describe(group, { cluster, brokerName })
    const changes = brokers.flatMap(({ brokerName: name, config }) =>
      changesOf(name, settingsOf(config), settingsOf({ ...config, ...settings })),
    )
    for (const line of linesOfChanges(group, changes)) print(line)
    if (changes.length > 0 && !(await confirmed(`Change ${group}?`, yes))) return
    const updated =
      changes.length > 0 ? await groups.update(group, settings, { cluster, brokerName }) : brokers
    if (json) printJson(updated)
    else if (changes.length > 0) console.log(`${group} is changed on ${namesOf(updated)}.`)
  })
}

/** In the words of `group show`. */
const settingsOf = (config: GroupOnBroker['config']): Record<string, string> => ({
  attempts: String(config.retryMaxTimes),
  'retry queues': String(config.retryQueueNums),
  'pops in order': config.consumeMessageOrderly ? 'yes' : 'no',
  'may consume': config.consumeEnable ? 'yes' : 'no',
})

export async function deleteGroup(group: string, options: GroupDeleteOptions): Promise<void> {
  const { cluster, broker: brokerName, yes, json } = options
  checkOwnGroup(group)
  await withClient(options, async (client) => {
    const groups = createGroupAdmin(client)
    const print = (line: string): void => (json ? console.error(line) : console.log(line))
    const brokers = await groups.describe(group, { cluster, brokerName })
    const [members, stats] = await Promise.all([groups.members(group), groups.stats(group)])
    const topics = topicsOf(stats).map(({ topic, lag }) => `${topic} (lag ${lag})`)
    print(`${bold(group)} on ${namesOf(brokers)}: where it stands will be forgotten.`)
    print(`Topics: ${listOf(topics)}.`)
    print(`Members online: ${listOf(members)}.`)
    if (!(await confirmed(`Delete ${group}?`, yes))) return
    const deleted = await groups.delete(group, { cluster, brokerName })
    if (json) printJson(deleted)
    else console.log(`${group} is deleted on ${namesOf(deleted)}.`)
  })
}

export async function listMembers(group: string, options: GroupOptions): Promise<void> {
  await withClient(options, async (client) => {
    const groups = createGroupAdmin(client)
    // Brokers answer the same for a group that is not there.
    await groups.describe(group)
    const members = await groups.members(group)
    if (options.json) printJson(members)
    else if (members.length === 0) console.log(`No member of ${group} is online.`)
    else for (const member of members) console.log(oneLine(member))
  })
}

const namesOf = (brokers: readonly { brokerName: string; address: string }[]): string =>
  brokers.map(({ brokerName, address }) => oneLine(`${brokerName} (${address})`)).join(', ')

const listOf = (names: readonly string[]): string => names.map(oneLine).join(', ') || 'none'
