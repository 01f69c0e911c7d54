/** The topics and consumer groups of one broker, with what a fresh one has (upstream TopicConfigManager, SubscriptionGroupManager). */
import { PERM_READ, PERM_WRITE } from '../../commands/route.ts'
import { DEFAULT_TOPIC } from '../../commands/send.ts'
import type { TopicConfig } from '../../commands/topics.ts'
import { isSystemTopic } from '../../wire/names.ts'
import type { Registry } from './registry.ts'

export const PERM_READ_WRITE: number = PERM_READ | PERM_WRITE
/** Most queues of a topic for reading, and for writing: a real broker has no limit, and its clients no memory for them. */
export const MAX_QUEUES = 65_536
/** New topics take over the permission of the default topic. */
export const PERM_INHERIT = 1

export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
export const TIMER_TOPIC = 'rmq_sys_wheel_timer'
export const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
/** Offsets of half messages that were ended. */
export const ENDS_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC'

export const topicConfig = (
  topicName: string,
  queues: number,
  changes: Partial<TopicConfig> = {},
): TopicConfig => ({
  topicName,
  readQueueNums: queues,
  writeQueueNums: queues,
  perm: PERM_READ_WRITE,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: {},
  ...changes,
})

export class TopicTable {
  readonly #topics = new Map<string, TopicConfig>()
  readonly #own = new Set<string>()
  readonly #brokerName: string
  readonly #registry: Registry

  constructor(brokerName: string, registry: Registry, delayLevels: number, autoCreate: boolean) {
    this.#brokerName = brokerName
    this.#registry = registry
    const { clusterName } = registry
    const system: readonly TopicConfig[] = [
      topicConfig('SELF_TEST_TOPIC', 1),
      ...(autoCreate ? [topicConfig(DEFAULT_TOPIC, 8, { perm: PERM_READ_WRITE | PERM_INHERIT })] : []),
      topicConfig('BenchmarkTest', 1024),
      topicConfig(clusterName, 16, { perm: PERM_READ_WRITE | PERM_INHERIT }),
      topicConfig(brokerName, 1, { perm: PERM_READ_WRITE | PERM_INHERIT }),
      topicConfig('OFFSET_MOVED_EVENT', 1),
      topicConfig(SCHEDULE_TOPIC, delayLevels),
      topicConfig(`${clusterName}_REPLY_TOPIC`, 1),
      topicConfig(TIMER_TOPIC, 1),
      topicConfig(HALF_TOPIC, 1),
      topicConfig(ENDS_TOPIC, 1),
    ]
    for (const config of system) {
      this.#own.add(config.topicName)
      this.#topics.set(config.topicName, config)
    }
  }

  all(): TopicConfig[] {
    return [...this.#topics.values()]
  }

  get(topic: string): TopicConfig | undefined {
    return this.#topics.get(topic)
  }

  /** What a broker sets up for itself, and names that are reserved for it. */
  isSystem(topic: string): boolean {
    return this.#own.has(topic) || isSystemTopic(topic)
  }

  /** Creates or changes a topic, which is in the routes at once. */
  set(config: TopicConfig): TopicConfig {
    this.#topics.set(config.topicName, config)
    this.#registry.register(this.#brokerName, config)
    return config
  }

  delete(topic: string): void {
    this.#topics.delete(topic)
  }

  /** After a start: everything is in the routes again. */
  registerAll(): void {
    for (const config of this.#topics.values()) this.#registry.register(this.#brokerName, config)
  }

  names(): string[] {
    return [...this.#topics.keys()]
  }

  /** A topic of its own for a group: retries and dead letters. */
  ensure(topic: string, queues: number): TopicConfig {
    return this.get(topic) ?? this.set(topicConfig(topic, queues))
  }

  /** A topic for the first send to it, after the settings of another one; nothing when that does not pass them on. */
  createAfter(topic: string, defaultTopic: string, queues: number): TopicConfig | undefined {
    const model = this.get(defaultTopic)
    if (!model || !(model.perm & PERM_INHERIT)) return undefined
    const count = Math.max(0, Math.min(queues, model.writeQueueNums))
    const { topicFilterType, perm } = model
    return this.set(topicConfig(topic, count, { topicFilterType, perm: perm & ~PERM_INHERIT }))
  }
}
