/**
 * What happened in a run, as those saw it who had a part in it: one JSON object a line. The judge has nothing else, so that a run
 * can be judged again.
 */
import { createWriteStream, readFileSync } from 'node:fs'

/** All times are epoch ms. */
export type Happening =
  /** The first line. */
  | {
      kind: 'run'
      seed: number
      at: number
      minutes: number
      everyMs: number
      commit: string
      settings: string
    }
  /** A message that a publisher has acknowledged. */
  | { kind: 'stored'; at: number; messageId: string; key: string; n: number }
  /** A publisher did not say that it was stored. */
  | { kind: 'not-stored'; at: number; messageId: string; outcome: string }
  /** What a handler did: a line of its log. `fail`: it asked for it again. */
  | {
      kind: 'record'
      group: string
      what: 'start' | 'end' | 'fail'
      invocation: string
      pid: number
      /** `<topic>/<broker>/<queueId>` of where it was read, which may be the group's retry topic. */
      queue: string
      offset: number
      messageId: string
      key: string
      at: number
    }
  /** An invocation has ended, well or not. */
  | {
      kind: 'invocation'
      name: string
      invocation: string
      /** Of its environment; undefined: that could not be started. */
      pid?: number
      at: number
      durationMs: number
      limitMs: number
      status: 'success' | 'error' | 'timeout'
      errorType?: string
      /** What it failed with, cut: not to be parsed. */
      error?: string
    }
  /** `target`: a broker's name, `replica of broker-a`, `name server 1`, or the function and the pid of its environment. */
  | {
      kind: 'fault'
      at: number
      until: number
      what: string
      target: string
      /** How many frames and connections a fault of the network has met; 0, too, where no function was at work to be met. */
      met?: number
    }
  /** A timer of this process came so much too late: the machine had no time for it. */
  | { kind: 'stall'; at: number; until: number }
  /** Where a group stands, asked at the broker without a proxy between; `at`: when it was asked. */
  | { kind: 'offset'; at: number; group: string; queue: string; offset: string }
  /** An offset that its broker has taken, in the order in which they were asked for, of one broker after the other; `at`: then. */
  | { kind: 'commit'; at: number; answeredAt: number; group: string; queue: string; offset: string }
  /** What a queue holds in the end, of what is consumed and of transactions: offsets from `from` to below `to`, each with its `held`. */
  | { kind: 'content'; queue: string; from: number; to: number }
  | { kind: 'held'; queue: string; offset: number; messageId: string; key: string; storedAt: number }
  | { kind: 'begun'; at: number; messageId: string; fate: 'commit' | 'rollback' }
  /** Its caller was told, well or not, that it was ended; without it a check ends it. */
  | { kind: 'ended'; at: number; messageId: string }
  /** What a broker still has of transactions in the end: those that it will ask about, and those that it gave up. */
  | { kind: 'half'; at: number; broker: string; open: number; givenUp: number }
  /** A line that no function may print: an uncaught error, a rejection nobody handled. */
  | { kind: 'crash'; at: number; name: string; line: string }
  /** Faults come from now on; times that are printed count from here. */
  | { kind: 'begin'; at: number }
  /** Faults are over; from now on everything has to come to its end. */
  | { kind: 'healed'; at: number }
  /** The run ended like this. */
  | { kind: 'over'; at: number; isDrained: boolean; connections: number }

export interface History {
  readonly all: readonly Happening[]
  add(happening: Happening): void
  close(): Promise<void>
}

export function writeHistory(file: string): History {
  const stream = createWriteStream(file)
  const all: Happening[] = []
  return {
    all,
    add(happening) {
      all.push(happening)
      stream.write(`${JSON.stringify(happening)}\n`)
    },
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}

export function readHistory(file: string): Happening[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Happening)
}
