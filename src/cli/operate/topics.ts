/** `rocketmq-lambda topic`: what there is of topics; making, changing and deleting them. */
import {
  checkOwnTopic,
  createTopicAdmin,
  type QueueStats,
  type TopicOnBroker,
} from '../../client/admin/topics.ts'
import { ConfigError } from '../../errors.ts'
import { confirmed } from '../confirm.ts'
import { type ConnectionOptions, withClient } from '../connection.ts'
import { naming } from '../naming.ts'
import { age, bold, dim, oneLine, printJson, table } from '../output.ts'
import { changesOf, linesOfChanges } from './changes.ts'
import { unlessMissing } from './reading.ts'

export type TopicOptions = ConnectionOptions

export interface TopicListOptions extends ConnectionOptions {
  all?: boolean
}

export interface TopicCreateOptions extends ConnectionOptions {
  queues: number
  perm: number
  type?: string
  attribute?: Readonly<Record<string, string>>
  order?: boolean
  cluster?: string
  broker?: string
}

export interface TopicUpdateOptions extends ConnectionOptions {
  queues?: number
  writeQueues?: number
  perm?: number
  type?: string
  attribute?: Readonly<Record<string, string>>
  order?: boolean
  cluster?: string
  broker?: string
  yes?: boolean
}

export interface TopicDeleteOptions extends ConnectionOptions {
  cluster?: string
  yes?: boolean
}

const PERMISSIONS: Readonly<Record<number, string>> = {
  6: 'read and write',
  4: 'read',
  2: 'write',
  0: 'none',
}

export async function listTopics(options: TopicListOptions): Promise<void> {
  await withClient(options, async (client) => {
    const all = await createTopicAdmin(client).list()
    const shown = all.filter(({ kind }) => options.all || kind !== 'system')
    if (options.json) printJson(shown)
    else if (shown.length === 0) console.log('There is no topic but those of the brokers: --all.')
    else for (const line of table(shown.map(({ topic, kind }) => [topic, kind]))) console.log(line)
  })
}

export async function showTopic(topic: string, options: TopicOptions): Promise<void> {
  await withClient(options, async (client) => {
    const topics = createTopicAdmin(client)
    const brokers = await topics.describe(topic)
    const [{ queues }, consumers] = await Promise.all([topics.stats(topic), topics.consumers(topic)])
    if (options.json) {
      printJson({ topic, brokers, queues: queues.map(flat), consumers })
      return
    }
    const lines = [
      bold(topic),
      '',
      ...withHead(
        ['broker', 'address', 'read queues', 'write queues', 'permission', ''],
        brokers.map(brokerRow),
      ),
      '',
      ...withHead(['queue', 'messages', 'first', 'end', 'last message'], queues.map(queueRow)),
      '',
      `consumer groups: ${consumers.map(oneLine).join(', ') || 'none'}`,
    ]
    for (const line of lines) console.log(line)
  })
}

const withHead = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  table([head, ...rows], (line, index) => (index === 0 ? dim(line) : line))

const brokerRow = (each: TopicOnBroker): string[] => [
  each.brokerName,
  each.address,
  String(each.readQueueNums),
  String(each.writeQueueNums),
  PERMISSIONS[each.perm & 6] ?? String(each.perm),
  [
    ...(each.order ? ['order is fixed'] : []),
    ...Object.entries(each.attributes).map(([name, value]) => `${name}=${value}`),
  ].join(', '),
]

const queueRow = ({ queue, minOffset, maxOffset, lastUpdateTimestamp }: QueueStats): string[] => [
  `${queue.brokerName}/${queue.queueId}`,
  String(maxOffset - minOffset),
  String(minOffset),
  String(maxOffset),
  lastUpdateTimestamp > 0 ? `${age(Date.now() - lastUpdateTimestamp)} ago` : '',
]

const flat = ({ queue, minOffset, maxOffset, lastUpdateTimestamp }: QueueStats): object => ({
  ...queue,
  minOffset,
  maxOffset,
  lastUpdateTimestamp,
})

export async function createTopic(topic: string, options: TopicCreateOptions): Promise<void> {
  const { queues, perm, type, attribute, order, cluster, broker: brokerName, json } = options
  await withClient(options, async (client) => {
    const settings = { readQueueNums: queues, perm, order, attributes: attributesOf(attribute, type) }
    const created = await createTopicAdmin(client)
      .create(topic, settings, { cluster, brokerName })
      .catch(naming(ATTRIBUTES))
    if (json) printJson(created)
    else console.log(`${topic} is on ${namesOf(created)}, with ${queues} queues on each.`)
  })
}

const ATTRIBUTES = { attributes: '--attribute' }

const attributesOf = (
  attribute: Readonly<Record<string, string>> | undefined,
  type: string | undefined,
): Record<string, string> => ({ ...attribute, ...(type === undefined ? {} : { 'message.type': type }) })

export async function updateTopic(topic: string, options: TopicUpdateOptions): Promise<void> {
  const { queues, writeQueues = queues, perm, type, attribute, order } = options
  const { cluster, broker: brokerName, yes, json } = options
  const given = Object.entries({ readQueueNums: queues, writeQueueNums: writeQueues, perm, order })
  const settings: Partial<TopicOnBroker> = Object.fromEntries(
    given.filter(([, value]) => value !== undefined),
  )
  const attributes = attributesOf(attribute, type)
  if (Object.keys({ ...settings, ...attributes }).length === 0)
    throw new ConfigError('topic update', 'give what shall change: --queues, --perm, --type, …')
  await withClient(options, async (client) => {
    checkOwnTopic(topic)
    const topics = createTopicAdmin(client)
    const print = (line: string): void => (json ? console.error(line) : console.log(line))
    const brokers = await topics.describe(topic, { cluster, brokerName })
    const wanted = brokers.map((was) => ({
      ...was,
      ...settings,
      attributes: { ...was.attributes, ...attributes },
    }))
    refuseUnread(wanted)
    const changes = wanted.flatMap((each, at) =>
      changesOf(each.brokerName, settingsOf(brokers[at]), settingsOf(each)),
    )
    for (const line of [...linesOfChanges(topic, changes), ...hiddenBy(brokers, wanted)]) print(line)
    if (changes.length > 0 && !(await confirmed(`Change ${topic}?`, yes))) return
    const updated =
      changes.length > 0
        ? await topics
            .update(topic, { ...settings, attributes }, { cluster, brokerName })
            .catch(naming(ATTRIBUTES))
        : brokers
    if (json) printJson(updated)
    else if (changes.length > 0) console.log(`${topic} is changed on ${namesOf(updated)}.`)
  })
}

/** In the words of `topic show`. */
const settingsOf = (each: TopicOnBroker | undefined): Record<string, string> =>
  each === undefined
    ? {}
    : {
        'read queues': String(each.readQueueNums),
        'write queues': String(each.writeQueueNums),
        permission: PERMISSIONS[each.perm & 6] ?? String(each.perm),
        'order is fixed': each.order ? 'yes' : 'no',
        ...each.attributes,
      }

function refuseUnread(wanted: readonly TopicOnBroker[]): void {
  const bad = wanted.find(({ readQueueNums, writeQueueNums }) => writeQueueNums > readQueueNums)
  if (!bad) return
  const { brokerName, readQueueNums, writeQueueNums } = bad
  throw new ConfigError(
    '--write-queues',
    `${writeQueueNums} are more than the ${readQueueNums} that are read on ${brokerName}`,
  )
}

/** What consumers will not see any more. */
const hiddenBy = (brokers: readonly TopicOnBroker[], wanted: readonly TopicOnBroker[]): string[] =>
  wanted.flatMap(({ brokerName, readQueueNums }, at) => {
    const last = (brokers[at]?.readQueueNums ?? 0) - 1
    if (last < readQueueNums) return []
    return [
      oneLine(`Consumers will not see what is in ${brokerName}/${readQueueNums} to ${brokerName}/${last}: `) +
        'let them read it first, with fewer --write-queues alone.',
    ]
  })

export async function deleteTopic(topic: string, options: TopicDeleteOptions): Promise<void> {
  const { cluster, yes, json } = options
  await withClient(options, async (client) => {
    checkOwnTopic(topic)
    const topics = createTopicAdmin(client)
    const print = (line: string): void => (json ? console.error(line) : console.log(line))
    const brokers = (await unlessMissing(topics.describe(topic, { cluster }))) ?? []
    // A route may be left behind where no broker has the topic any more.
    if (brokers.length === 0) await topics.route(topic)
    const { queues } = (await unlessMissing(topics.stats(topic))) ?? { queues: [] }
    const consumers = (await unlessMissing(topics.consumers(topic))) ?? []
    const names = brokers.map(({ brokerName }) => brokerName)
    const count = queues
      .filter(({ queue }) => names.includes(queue.brokerName))
      .reduce((sum, { minOffset, maxOffset }) => sum + maxOffset - minOffset, 0n)
    print(`${bold(topic)} on ${namesOf(brokers)}; messages that will be lost: ${count}.`)
    print(`Consumer groups that read it: ${consumers.map(oneLine).join(', ') || 'none'}.`)
    if (!(await confirmed(`Delete ${topic}?`, yes))) return
    const deleted = await topics.delete(topic, { cluster })
    if (json) printJson(deleted)
    else
      console.log(
        `${topic} is deleted on ${namesOf(deleted.brokers)}, and from ${deleted.nameServers.join(', ')}.`,
      )
  })
}

const namesOf = (brokers: readonly { brokerName: string; address: string }[]): string =>
  brokers.map(({ brokerName, address }) => oneLine(`${brokerName} (${address})`)).join(', ') || 'no broker'
