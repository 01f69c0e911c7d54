/** A process that contends for queues, as an environment does: one invocation after the other, by messages of its parent. */
import { type Client, createClient } from '../../src/index.ts'
import { type Contended, consume } from '../delivery/contender.ts'
import type { Entry } from '../delivery/orders.ts'

/** What the parent asks for. */
export interface ContenderRequest {
  contended: Contended
  invocation: string
  remainingMs: number
  workMs: number
  /** Which queues it may take. */
  event: object
}

/** What it is told. */
export interface ContenderAnswer {
  ledger: Entry[]
  handled: number
  leftToOthers: number
  /** It was not done when the invocation had to end. */
  isCut: boolean
}

let client: Client | undefined

process.on('message', (request: ContenderRequest) => void answer(request))

async function answer({ contended, invocation, ...options }: ContenderRequest): Promise<void> {
  client ??= createClient({ nameServers: contended.nameServers, timeoutMs: 10_000 })
  const ledger: Entry[] = []
  const result = await consume(contended, ledger, invocation, { ...options, client })
  const { handled = 0, leftToOthers = 0 } = result ?? {}
  process.send?.({ ledger, handled, leftToOthers, isCut: result === undefined } satisfies ContenderAnswer)
}
