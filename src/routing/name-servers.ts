/**
 * The name servers, asked in turn under one deadline. They do not talk to each other and any of them is authoritative
 * enough (protocol.md 2), so one that does not answer, or answers nonsense, costs a share of the time and no more.
 */
import type { Command } from '../commands/define.ts'
import {
  BrokerError,
  ClosedError,
  ConfigError,
  ConnectError,
  DeadlineError,
  RocketMQError,
} from '../errors.ts'
import { type Deadline, pause, remainingMs } from '../net/deadline.ts'
import type { Answer, Network } from '../net/network.ts'

const ROUNDS = 3
const FIRST_PAUSE_MS = 40

export class NameServers {
  readonly addresses: readonly string[]
  readonly #network: Network
  /** The one that answered last, asked first: a dead one in front is paid for once, not at every call. */
  #first: number

  constructor(network: Network, addresses: readonly string[]) {
    this.#network = network
    this.addresses = addresses
    this.#first = Math.floor(Math.random() * addresses.length)
  }

  /** @throws BrokerError for the answer of any server, ConnectError when none answered, DeadlineError, AbortError */
  async call<Request, Response, RequestBody, ResponseBody>(
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    deadline: Deadline,
    topic?: string,
  ): Promise<Answer<Response, ResponseBody>> {
    const count = this.addresses.length
    const failures = new Map<string, RocketMQError>()
    for (let round = 0; round < ROUNDS; round++) {
      if (round > 0) await pause(FIRST_PAUSE_MS * 2 ** round * (0.5 + Math.random()), deadline)
      for (let turn = 0; turn < count; turn++) {
        const index = (this.#first + turn) % count
        const address = this.addresses[index] as string
        const left = remainingMs(deadline)
        if (left === 0) break
        try {
          // Whoever is asked leaves time for the others.
          const timeoutMs = Math.min(this.#network.timeoutMs, Math.ceil(left / (count - turn)))
          const answer = await this.#network.call(address, command, request, body, {
            deadline,
            timeoutMs,
            topic,
          })
          this.#first = index
          return answer
        } catch (error) {
          if (!mayAskAnother(error)) throw error
          failures.set(address, error)
        }
      }
    }
    throw unanswered(command.name, failures, deadline)
  }
}

function mayAskAnother(error: unknown): error is RocketMQError {
  if (!RocketMQError.is(error) || error instanceof ConfigError || error instanceof ClosedError) return false
  if (error instanceof BrokerError) return error.retryable || error.responseCode === 1
  return error.code !== 'RMQ_ABORTED' && error.code !== 'RMQ_DEADLINE'
}

function unanswered(what: string, failures: Map<string, RocketMQError>, deadline: Deadline): RocketMQError {
  const [only] = failures.values()
  if (!only)
    return new DeadlineError(`${what}: no time was left to ask a name server`, { outcome: 'not-sent' })
  if (failures.size === 1) return only
  const reasons = [...failures].map(([address, error]) => `${address}: ${error.message}`).join('; ')
  const facts = { outcome: 'not-sent', cause: only } as const
  const text = `none of the name servers answered ${what}: ${reasons}`
  return deadline.explicit && remainingMs(deadline) === 0
    ? new DeadlineError(text, facts)
    : new ConnectError(text, facts)
}
