/**
 * What has been popped and is not acknowledged yet (upstream PopCheckPoint, PopReviveService). A checkpoint is all that
 * one pop gave of one queue; what is left of it when its time is over comes back. Apache's broker keeps checkpoints and
 * acknowledgements as messages, so that they outlive a kill, and scans them: it revives 1 to 4 s later than said, this one
 * on time.
 */
import type { ClockScope } from './clock.ts'

export interface Checkpoint {
  group: string
  /** The stored topic. */
  topic: string
  queueId: number
  /** Where the pop began. */
  startOffset: bigint
  popTime: bigint
  invisibleTime: bigint
  reviveQid: number
  brokerName: string
}

interface Open {
  /** Offset → whether its next delivery does not count as another attempt. */
  waiting: Map<bigint, boolean>
  /** Takes the revival back. */
  cancel(): void
}

/** Puts a message back for its group. */
type Revive = (checkpoint: Checkpoint, offset: bigint, isSuspended: boolean) => void

/** An acknowledgement that differs in any of it is lost. */
const keyOf = (of: Checkpoint): string =>
  `${of.topic} ${of.group} ${of.queueId} ${of.startOffset} ${of.popTime} ${of.invisibleTime} ${of.reviveQid} ${of.brokerName}`

export class Checkpoints {
  readonly #clock: ClockScope
  readonly #revive: Revive
  readonly #open = new Map<string, Open>()

  constructor(clock: ClockScope, revive: Revive) {
    this.#clock = clock
    this.#revive = revive
  }

  add(checkpoint: Checkpoint, offsets: readonly bigint[], isSuspended = false): void {
    const open = this.#open.get(keyOf(checkpoint)) ?? this.#begin(checkpoint)
    for (const offset of offsets) open.waiting.set(offset, isSuspended)
  }

  #begin(checkpoint: Checkpoint): Open {
    const key = keyOf(checkpoint)
    const waiting: Open['waiting'] = new Map()
    const cancel = this.#clock.at(Number(checkpoint.popTime + checkpoint.invisibleTime), () => {
      this.#open.delete(key)
      for (const [offset, isSuspended] of waiting) this.#revive(checkpoint, offset, isSuspended)
    })
    const open = { waiting, cancel }
    this.#open.set(key, open)
    return open
  }

  /** Does nothing when there is no such checkpoint (any more): nobody is told. */
  acknowledge(checkpoint: Checkpoint, offset: bigint): void {
    const key = keyOf(checkpoint)
    const open = this.#open.get(key)
    if (!open?.waiting.delete(offset) || open.waiting.size > 0) return
    open.cancel()
    this.#open.delete(key)
  }
}
