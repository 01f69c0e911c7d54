/**
 * Invocations that contend for the same 8 queues from processes of their own. In a process one follows the other, as in an
 * environment; for each there are new messages, and it wants some of the queues, drains what it gets and gives it back, so that queues go
 * from hand to hand while others ask for them.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createProducer } from '../../src/index.ts'
import { consume } from '../delivery/contender.ts'
import { QUEUES_PER_BROKER, someQueues } from '../delivery/contention.ts'
import { type Context, doubleOwners, timesDone } from '../delivery/context.ts'
import type { Entry } from '../delivery/orders.ts'
import type { ContenderAnswer, ContenderRequest } from './contender.ts'

const PROCESSES = 6
const WORK_MS = 5
/** Enough for each: an invocation ends when its queues are drained. */
const REMAINING_MS = 30_000
const MOST_PAUSE_MS = 600

/** What became of them. */
export interface ApartFigures {
  processes: number
  messages: number
  /** Invocations that handled something, those that had to leave queues to others, and those that were cut off. */
  owners: number
  denied: number
  cut: number
  /** Messages that were never done, and that were done more than once. */
  lost: number
  twice: number
  doubleOwners: string[]
  /** From the last record of a queue's owner to the first of the next one, in ms, in order: behind one that had ended, and one that was cut off. */
  afterEnd: number[]
  afterCut: number[]
}

export async function contendApart(c: Context, invocations: number): Promise<ApartFigures> {
  const { nameServers, topic, group } = c
  const contended = { nameServers, topic, group }
  // One for each queue and invocation: an owner whose queues are filled faster than it drains them would keep them.
  const queues = ['broker-a', 'broker-b'].flatMap((brokerName) =>
    Array.from({ length: QUEUES_PER_BROKER }, (_, queueId) => c.queue(queueId, brokerName)),
  )
  const messages = queues.length * invocations
  await c.createTopic({ readQueueNums: QUEUES_PER_BROKER, writeQueueNums: QUEUES_PER_BROKER })
  const ledger: Entry[] = []
  await consume(contended, ledger, 'first', { remainingMs: 10_000 }) // the group begins
  const producer = createProducer(c.client, { producerGroup: group })
  const answers = new Map<string, ContenderAnswer>()
  let next = 0
  let n = 0
  const contender = async (): Promise<void> => {
    const child = fork(join(import.meta.dirname, 'contender.ts'))
    const exited = once(child, 'exit').then(([code]) => {
      throw new Error(`a contender ended with ${code}`)
    })
    for (let own = next++; own < invocations; own = next++) {
      await wait(Math.random() * MOST_PAUSE_MS)
      const invocation = String(own)
      await Promise.all(
        queues.map((queue) => producer.send({ topic, body: JSON.stringify({ n: n++ }), queue })),
      )
      const event = someQueues(c)
      const request: ContenderRequest = {
        contended,
        invocation,
        remainingMs: REMAINING_MS,
        workMs: WORK_MS,
        event,
      }
      child.send(request)
      const [answer] = (await Promise.race([once(child, 'message'), exited])) as [ContenderAnswer]
      answers.set(invocation, answer)
      ledger.push(...answer.ledger)
    }
    child.disconnect()
    await exited.catch(() => undefined)
  }
  await Promise.all(Array.from({ length: PROCESSES }, contender))
  const { afterEnd, afterCut } = handOvers(ledger, (invocation) => answers.get(invocation)?.isCut === true)
  // The rest, and what those that were cut off could not give back: their leases end by themselves.
  for (let left = 1; left > 0; await c.pass(left > 0 ? 1_000 : 0))
    left = (await consume(contended, ledger, 'last', { remainingMs: 300_000 }))?.leftToOthers ?? 1

  const times = timesDone(ledger)
  const all = [...answers.values()]
  return {
    processes: PROCESSES,
    messages,
    owners: all.filter(({ ledger: own }) => own.length > 0).length,
    denied: all.filter(({ leftToOthers }) => leftToOthers > 0).length,
    cut: all.filter(({ isCut }) => isCut).length,
    lost: messages - times.filter((each) => each > 0).length,
    twice: times.filter((each) => each > 1).length,
    doubleOwners: doubleOwners(ledger),
    afterEnd,
    afterCut,
  }
}

function handOvers(
  ledger: readonly Entry[],
  isCut: (invocation: string) => boolean,
): Pick<ApartFigures, 'afterEnd' | 'afterCut'> {
  const afterEnd: number[] = []
  const afterCut: number[] = []
  for (const entries of Map.groupBy(ledger, ({ queue }) => queue).values()) {
    let last: Entry | undefined
    for (const entry of entries.toSorted((a, b) => a.at - b.at)) {
      if (last && last.invocation !== entry.invocation)
        (isCut(last.invocation) ? afterCut : afterEnd).push(entry.at - last.at)
      last = entry
    }
  }
  return { afterEnd: afterEnd.toSorted((a, b) => a - b), afterCut: afterCut.toSorted((a, b) => a - b) }
}
