/**
 * One broker: its tables, its store, and how a message gets into it. What requests do stands in handlers/. It can be
 * stopped and started again, killed, frozen; it keeps its address and its messages.
 */
import { groupConfig, type SubscriptionGroupConfig } from '../../commands/groups.ts'
import { MESSAGE_ILLEGAL, NO_PERMISSION } from '../../commands/response-codes.ts'
import { javaHashCode as tagCode } from '../../wire/hash.ts'
import { MAX_PROPERTIES_BYTES } from '../../wire/properties.ts'
import type { AccessControl } from './access.ts'
import { Checkpoints } from './checkpoints.ts'
import { type ClockScope, scopeOf, type TestClock } from './clock.ts'
import { type Connection, hostBytes } from './connection.ts'
import { DELAY_LEVELS_MS, Delays } from './delays.ts'
import type { Faults } from './faults.ts'
import { dispatch, type Handler, Refusal } from './handler.ts'
import { LockTable } from './lock-table.ts'
import { Members } from './members.ts'
import { OffsetTable } from './offsets.ts'
import { ParkedPops } from './parked-pops.ts'
import { ParkedPulls } from './parked-pulls.ts'
import { PopOrders } from './pop-orders.ts'
import { formatProperties, type NewMessage, type Properties } from './record.ts'
import type { Registry } from './registry.ts'
import { revive } from './revive.ts'
import { type BrokerLogger, Server } from './server.ts'
import { type Appended, MessageStore } from './store.ts'
import { TopicTable } from './topics.ts'
import { type TransactionSettings, Transactions } from './transactions.ts'

export interface NodeSettings extends TransactionSettings {
  brokerName: string
  port: number
  retentionBytes: number
  autoCreateTopics: boolean
  autoCreateGroups: boolean
  recall: boolean
}

export interface NodeContext {
  registry: Registry
  clock: TestClock
  faults: Faults
  access: AccessControl
  logger: BrokerLogger
  handlers: ReadonlyMap<number, Handler<BrokerNode>>
}

/** Bodies of a single message and of a batch. */
export const MAX_BODY_BYTES: number = 4 << 20
export const ILLEGAL_SIZE: string = `the message is illegal, maybe msg body or properties length not matched. msg body length limit ${MAX_BODY_BYTES}B, msg properties length limit 32KB.`

/** Longest group name that a broker creates by itself. */
const TOOLS_GROUP = 'TOOLS_CONSUMER'
const MAX_GROUP_NAME = 120

export class BrokerNode {
  readonly settings: NodeSettings
  readonly registry: Registry
  readonly clock: ClockScope
  readonly topics: TopicTable
  /** By name; the one that tools read for is on every broker. */
  readonly groups: Map<string, SubscriptionGroupConfig> = new Map([[TOOLS_GROUP, groupConfig(TOOLS_GROUP)]])
  readonly offsets: OffsetTable
  readonly locks: LockTable
  readonly members: Members = new Members()
  readonly parked: ParkedPulls
  readonly parkedPops: ParkedPops
  readonly parkedNotifications: ParkedPops
  readonly checkpoints: Checkpoints
  readonly popOrders: PopOrders
  readonly transactions: Transactions = new Transactions(this)
  readonly server: Server
  readonly startedAt: number
  /** Messages stored and given out since the start. */
  readonly counts: { put: number; got: number } = { put: 0, got: 0 }
  #store: MessageStore | undefined
  #delays: Delays | undefined
  #idPrefix = ''

  constructor(settings: NodeSettings, { registry, clock, faults, access, logger, handlers }: NodeContext) {
    this.settings = settings
    this.registry = registry
    this.clock = scopeOf(clock)
    this.startedAt = clock.now()
    this.topics = new TopicTable(
      settings.brokerName,
      registry,
      DELAY_LEVELS_MS.length,
      settings.autoCreateTopics,
    )
    this.offsets = new OffsetTable(this.clock, () => this.popOrders.save())
    this.locks = new LockTable(clock.now)
    this.parked = new ParkedPulls(this.clock, (topic, queueId) => this.store.queue(topic, queueId)?.max ?? 0)
    this.parkedPops = new ParkedPops(this.clock)
    this.parkedNotifications = new ParkedPops(this.clock)
    this.checkpoints = new Checkpoints(this.clock, (checkpoint, offset, isSuspended) =>
      revive(this, checkpoint, offset, isSuspended),
    )
    this.popOrders = new PopOrders(this.clock, ({ topic, group, queueId }) =>
      this.wakePops(topic, group, queueId),
    )
    this.server = new Server({
      name: settings.brokerName,
      port: settings.port,
      faults,
      clock: this.clock,
      logger,
      handle: (frame, connection, answer) => {
        const remark = access.refuse(frame, connection.remote)
        if (remark) answer({ code: NO_PERMISSION, remark })
        else dispatch(handlers, { server: this, frame, connection, answer }, logger)
      },
      onClose: (connection: Connection) => this.members.connectionClosed(connection),
      onKill: (ms) => {
        const failed = (error: unknown): void => logger.error(`${settings.brokerName} is not back`, error)
        this.kill().catch(failed)
        if (ms !== undefined) this.clock.at(clock.now() + ms, () => void this.start().catch(failed))
      },
    })
  }

  get brokerName(): string {
    return this.settings.brokerName
  }

  get store(): MessageStore {
    if (!this.#store) throw new Error('the broker has not been started')
    return this.#store
  }

  get delays(): Delays {
    if (!this.#delays) throw new Error('the broker has not been started')
    return this.#delays
  }

  /** Listens and registers; the store is made with the first address, which messages have in them. */
  async start(): Promise<void> {
    if (this.server.isListening) return
    await this.server.listen()
    if (!this.#store) {
      const { retentionBytes } = this.settings
      const storeHost = hostBytes(this.server.address)
      this.#idPrefix = storeHost.toString('hex').toUpperCase()
      this.#store = new MessageStore(retentionBytes, this.clock.now, storeHost)
      this.#delays = new Delays(this.clock, this.#store, (message, properties) =>
        this.#append(message, properties['TAGS']),
      )
    }
    this.offsets.restart()
    this.transactions.restart()
    this.registry.addBroker(this.brokerName, this.server.address)
    this.topics.registerAll()
  }

  /** An orderly end: offsets are saved, connections closed. Locks and registrations are gone. */
  async stop(): Promise<void> {
    this.offsets.save()
    await this.#leave(false)
  }

  /** As by kill -9: connections are reset, and commits that were not saved yet are lost. */
  async kill(): Promise<void> {
    this.offsets.loseUnsaved()
    this.popOrders.loseUnsaved()
    await this.#leave(true)
  }

  async #leave(reset: boolean): Promise<void> {
    this.registry.removeBroker(this.brokerName)
    this.locks.clear()
    this.transactions.clear()
    this.parked.clear()
    this.parkedPops.clear()
    this.parkedNotifications.clear()
    this.members.clear()
    await this.server.close({ reset })
  }

  /** The settings of a group, which is created when it is not there; nothing when that is off, or it cannot have the name. */
  groupFor(group: string): SubscriptionGroupConfig | undefined {
    const known = this.groups.get(group)
    if (known || !this.settings.autoCreateGroups) return known
    if (group.length > MAX_GROUP_NAME || !/^[%|\w-]+$/.test(group)) return undefined
    const created = groupConfig(group)
    this.groups.set(group, created)
    return created
  }

  /**
   * Stores a message, at once or for later. `message.properties` is written from `properties`.
   * @throws Refusal for a time that is too far away, and for properties that do not fit
   */
  put(
    message: Omit<NewMessage, 'properties'>,
    properties: Properties,
  ): Appended & { offsetMessageId: string; timerDueAt: number | undefined } {
    const later = this.delays.plan(message.topic, message.queueId, properties)
    const text = formatProperties(properties)
    if (text.length * 3 > MAX_PROPERTIES_BYTES && Buffer.byteLength(text) > MAX_PROPERTIES_BYTES)
      throw new Refusal(MESSAGE_ILLEGAL, ILLEGAL_SIZE)
    const appended = later
      ? this.store.append(
          { ...message, topic: later.topic, queueId: later.queueId, properties: text },
          undefined,
        )
      : this.#append({ ...message, properties: text }, properties['TAGS'])
    if (later) this.delays.schedule(appended, later)
    return {
      ...appended,
      offsetMessageId: this.offsetMessageId(appended.position),
      timerDueAt: later?.isTimer === true ? later.dueAt : undefined,
    }
  }

  /** There is something to pop for a group. */
  wakePops(topic: string, group: string, queueId?: number): void {
    this.parkedPops.wake(topic, group, queueId)
    this.parkedNotifications.wake(topic, group, queueId)
  }

  /** Stores a message under its own topic, and wakes who waits for it. */
  #append(message: NewMessage, tag: string | undefined): Appended {
    const appended = this.store.append(message, tag)
    this.counts.put++
    const { topic, queueId } = message
    const code = tag === undefined ? 0 : tagCode(tag)
    for (const parked of [this.parked, this.parkedPops, this.parkedNotifications])
      parked.messageArrived(topic, queueId, code)
    return appended
  }

  /** A message as it is, whatever its properties say: those of a batch are never delayed. */
  putAsIs(message: NewMessage, tag: string | undefined): Appended {
    return this.#append(message, tag)
  }

  /** Store host and position in hex (protocol.md 7). */
  offsetMessageId(position: number): string {
    return this.#idPrefix + position.toString(16).toUpperCase().padStart(16, '0')
  }
}
