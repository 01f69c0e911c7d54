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
import { type Deadline, notSent, pause, remainingMs } from '../net/deadline.ts'
import { type Answer, inSumOf, type Network } from '../net/network.ts'

const ROUNDS = 3
const FIRST_PAUSE_MS = 40

export interface NameServers {
  readonly addresses: readonly string[]
  /** @throws BrokerError for the answer of any server, ConnectError when none answered, DeadlineError, AbortError */
  call<Request, Response, RequestBody, ResponseBody>(
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    deadline: Deadline,
    topic?: string,
  ): Promise<Answer<Response, ResponseBody>>
}

export function createNameServers(network: Network, addresses: readonly string[]): NameServers {
  const count = addresses.length
  /** The one that answered last, asked first: a dead one in front is paid for once, not at every call. */
  let first = Math.floor(Math.random() * count)

  return {
    addresses,
    async call(command, request, body, deadline, topic) {
      const failures = new Map<string, RocketMQError>()
      let doubtful: RocketMQError | undefined
      for (let turn = 0; turn < ROUNDS * count; turn++) {
        if (turn > 0 && turn % count === 0) {
          const ms = FIRST_PAUSE_MS * 2 ** (turn / count) * (0.5 + Math.random())
          if (ms >= remainingMs(deadline)) break // what is known now says more than that time ran out
          await pause(ms, deadline)
        }
        const index = (first + turn) % count
        const address = addresses[index] as string
        const left = remainingMs(deadline)
        if (left === 0) break
        // Whoever is asked leaves time for the others of its round.
        const timeoutMs = Math.min(network.timeoutMs, Math.ceil(left / (count - (turn % count))))
        try {
          const answer = await network.call(address, command, request, body, { deadline, timeoutMs, topic })
          first = index
          return answer
        } catch (error) {
          if (!mayAskAnother(error)) throw error
          failures.set(address, error)
          if (error.outcome === 'unknown') doubtful = error
        }
      }
      throw inSumOf(doubtful, unanswered(command.name, [...failures.values()], deadline))
    },
  }
}

function mayAskAnother(error: unknown): error is RocketMQError {
  if (error instanceof BrokerError) return error.retryable || error.responseCode === 1
  return (
    RocketMQError.is(error) &&
    !(error instanceof ConfigError || error instanceof ClosedError) &&
    error.code !== 'RMQ_ABORTED' &&
    error.code !== 'RMQ_DEADLINE'
  )
}

function unanswered(what: string, failures: RocketMQError[], deadline: Deadline): RocketMQError {
  const [cause] = failures
  if (cause && failures.length === 1) return cause
  const Kind = !cause || (deadline.explicit && !remainingMs(deadline)) ? DeadlineError : ConnectError
  const reasons = failures.map((error) => error.message).join('; ')
  return new Kind(`no name server answered ${what}: ${reasons || 'no time was left'}`, notSent({ cause }))
}
