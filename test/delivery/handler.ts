/**
 * The function of the delivery suite, bundled and run as deployed. What it does with a record stands in the record's body
 * (an Order); what it did stands in its log, a line when it begins with a record and one when it is done: the ledger from
 * which the suite judges who had which queue, and when.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { eventSource } from '../../src/lambda/event-source.ts'

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
  /** Epoch ms. */
  at: number
}

const { client, ...mapping } = JSON.parse(process.env['ROCKETMQ_EVENT_SOURCES'] ?? '')
const deliveries = new Map<string, number>()
const silent = { debug() {}, info() {}, warn() {}, error() {} }

export const handler: ReturnType<typeof eventSource> = eventSource(
  { ...mapping, client, logger: silent },
  async (event, context) => {
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const record of Object.values(event.records).flat()) {
      const order = record.json() as Order
      const { messageId, recordId, reconsumeTimes } = record
      const at = recordId.lastIndexOf('/')
      const tell = (what: Entry['what']): void => {
        const entry: Entry = {
          what,
          invocation: context.awsRequestId ?? '',
          queue: recordId.slice(0, at),
          offset: Number(recordId.slice(at + 1)),
          messageId,
          n: order.n,
          at: Date.now(),
        }
        console.log(JSON.stringify(entry))
      }
      const times = (deliveries.get(messageId) ?? 0) + 1
      deliveries.set(messageId, times)
      tell('start')
      if (order.gate !== undefined) await fetch(order.gate)
      if (order.ms !== undefined) await wait(order.ms)
      if (times <= (order.hangs ?? 0)) await new Promise(() => {})
      if (order.throws === true) throw new RangeError('the database is down')
      if (reconsumeTimes < (order.failures ?? 0) || times <= (order.blocks ?? 0))
        batchItemFailures.push({ itemIdentifier: recordId })
      else tell('end')
    }
    return { batchItemFailures }
  },
)
