/**
 * Committed offsets (upstream ConsumerOffsetManager): in memory, saved every 5 s and first 10 s after a start. What was
 * committed since is lost when the broker is killed. Values are not checked: the last writer wins.
 */
import type { ClockScope } from './clock.ts'

const FIRST_SAVE_MS = 10_000
const SAVE_EVERY_MS = 5_000

type Table = Map<string, Map<number, bigint>>

const keyOf = (topic: string, group: string): string => `${topic}@${group}`

export class OffsetTable {
  readonly #clock: ClockScope
  #startedAt: number
  #committed: Table = new Map()
  #saved: Table = new Map()
  readonly #resets: Table = new Map()
  readonly #pulled: Table = new Map()
  #saving: (() => void) | undefined
  readonly #onSave: () => void

  /** @param onSave saves what is saved together with the offsets */
  constructor(clock: ClockScope, onSave: () => void) {
    this.#clock = clock
    this.#onSave = onSave
    this.#startedAt = clock.now()
  }

  /** The committed offset, or the one that it was reset to. */
  get(group: string, topic: string, queueId: number): bigint | undefined {
    const key = keyOf(topic, group)
    return this.#resets.get(key)?.get(queueId) ?? this.#committed.get(key)?.get(queueId)
  }

  commit(group: string, topic: string, queueId: number, offset: bigint): void {
    set(this.#committed, keyOf(topic, group), queueId, offset)
    this.#saveLater()
  }

  /** An administrator's reset: it stays until the group has pulled it. */
  reset(group: string, topic: string, queueId: number, offset: bigint): void {
    const key = keyOf(topic, group)
    set(this.#resets, key, queueId, offset)
    this.commit(group, topic, queueId, offset)
  }

  isReset(group: string, topic: string, queueId: number): boolean {
    return this.#resets.get(keyOf(topic, group))?.has(queueId) ?? false
  }

  /** The offset of a reset, once. */
  takeReset(group: string, topic: string, queueId: number): bigint | undefined {
    const queues = this.#resets.get(keyOf(topic, group))
    const offset = queues?.get(queueId)
    queues?.delete(queueId)
    return offset
  }

  setPulled(group: string, topic: string, queueId: number, offset: bigint): void {
    set(this.#pulled, keyOf(topic, group), queueId, offset)
  }

  pulled(group: string, topic: string, queueId: number): bigint {
    return this.#pulled.get(keyOf(topic, group))?.get(queueId) ?? 0n
  }

  topicsOf(group: string): string[] {
    return [...this.#committed.keys()].flatMap((key) => {
      const at = key.lastIndexOf('@')
      return key.slice(at + 1) === group ? [key.slice(0, at)] : []
    })
  }

  groupsOf(topic: string): string[] {
    return [...this.#committed.keys()].flatMap((key) => {
      const at = key.lastIndexOf('@')
      return key.slice(0, at) === topic ? [key.slice(at + 1)] : []
    })
  }

  /** Everything of a group or a topic. */
  forget({ group, topic }: { group?: string; topic?: string }): void {
    for (const table of [this.#committed, this.#resets, this.#pulled]) {
      for (const key of table.keys()) {
        const at = key.lastIndexOf('@')
        if (key.slice(at + 1) === group || key.slice(0, at) === topic) table.delete(key)
      }
    }
    this.#saveLater()
  }

  /** All offsets, topic@group → queue → offset. */
  all(): ReadonlyMap<string, ReadonlyMap<number, bigint>> {
    return this.#committed
  }

  save(): void {
    this.#onSave()
    this.#saved = new Map([...this.#committed].map(([key, queues]) => [key, new Map(queues)]))
    this.#stopSaving()
  }

  /** The broker has been killed: what was not saved is gone, and so is what is kept in memory only. */
  loseUnsaved(): void {
    this.#committed = new Map([...this.#saved].map(([key, queues]) => [key, new Map(queues)]))
    this.#resets.clear()
    this.#pulled.clear()
    this.#stopSaving()
  }

  /** The times of saving count from here. */
  restart(): void {
    this.#startedAt = this.#clock.now()
  }

  #stopSaving(): void {
    this.#saving?.()
    this.#saving = undefined
  }

  #saveLater(): void {
    if (this.#saving) return
    const since = this.#clock.now() - this.#startedAt - FIRST_SAVE_MS
    const wait = since < 0 ? -since : SAVE_EVERY_MS - (since % SAVE_EVERY_MS)
    this.#saving = this.#clock.at(this.#clock.now() + wait, () => this.save())
  }
}

function set(table: Table, key: string, queueId: number, offset: bigint): void {
  const queues = table.get(key)
  if (queues) queues.set(queueId, offset)
  else table.set(key, new Map([[queueId, offset]]))
}
