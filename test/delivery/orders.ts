/**
 * What the functions of the delivery suite do with a record: it stands in the record's body (an Order). What they did stands
 * in their log, a line when they begin with a record and one when it is done: the ledger from which the suite judges who had
 * which record, and when.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { BatchResponse } from '../../src/lambda/response.ts'

/** What the body of a message asks for; nothing: it is handled. */
export interface Order {
  n: number
  /** Waits until this address answers. */
  gate?: string
  /** Takes so long. */
  ms?: number
  /** So many deliveries to this process never end. */
  hangs?: number
  /** So many attempts fail, by the record's reconsumeTimes. */
  failures?: number
  /** So many deliveries to this process fail. */
  blocks?: number
  /** Throws. */
  throws?: boolean
  /** On the first attempt: throws, never ends, or answers what is in no contract. */
  fault?: 'throws' | 'hangs' | 'garbage'
  /** Makes the body larger. */
  padding?: string
}

/** A line of the ledger. */
export interface Entry {
  /** `cut`: it was not done when the invocation had to end. */
  what: 'start' | 'end' | 'cut'
  invocation: string
  /** Where it is stored. */
  queue: string
  offset: number
  messageId: string
  n: number
  reconsumeTimes: number
  /** Epoch ms. */
  at: number
}

/** Of an event what is in its JSON, so that a target can be given it. */
interface Event {
  records: Readonly<
    Record<string, readonly { recordId: string; messageId: string; reconsumeTimes: number; value: string }[]>
  >
}

const deliveries = new Map<string, number>()

export async function handleOrders(event: Event, invocation = ''): Promise<BatchResponse> {
  const batchItemFailures: { itemIdentifier: string }[] = []
  for (const { recordId, messageId, reconsumeTimes, value } of Object.values(event.records).flat()) {
    const order = JSON.parse(Buffer.from(value, 'base64').toString()) as Order
    const at = recordId.lastIndexOf('/')
    const tell = (what: Entry['what']): void => {
      const entry: Entry = {
        what,
        invocation,
        queue: recordId.slice(0, at),
        offset: Number(recordId.slice(at + 1)),
        messageId,
        n: order.n,
        reconsumeTimes,
        at: Date.now(),
      }
      console.log(JSON.stringify(entry))
    }
    const times = (deliveries.get(messageId) ?? 0) + 1
    deliveries.set(messageId, times)
    tell('start')
    const fault = reconsumeTimes === 0 ? order.fault : undefined
    if (order.gate !== undefined) await fetch(order.gate)
    if (order.ms !== undefined) await wait(order.ms)
    // A promise alone would not keep the process from ending.
    if (times <= (order.hangs ?? 0) || fault === 'hangs')
      await new Promise(() => setInterval(() => {}, 1_000))
    if (order.throws === true || fault === 'throws') throw new RangeError('the database is down')
    if (fault === 'garbage') return 'done' as BatchResponse
    if (reconsumeTimes < (order.failures ?? 0) || times <= (order.blocks ?? 0))
      batchItemFailures.push({ itemIdentifier: recordId })
    else tell('end')
  }
  return { batchItemFailures }
}
