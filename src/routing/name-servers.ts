/**
 * The name servers, asked in turn under one deadline. They do not talk to each other and any of them is authoritative
 * enough (protocol.md 2), so one that does not answer, or answers nonsense, costs a share of the time and no more.
 */
import type { Command } from '../commands/define.ts'
import { ConnectError, DeadlineError, RocketMQError } from '../errors.ts'
import { type Deadline, pause, remainingMs } from '../net/deadline.ts'
import type { Answer, Network } from '../net/network.ts'

export const TOPIC_NOT_EXIST = 17
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

export const createNameServers = (network: Network, addresses: readonly string[]): NameServers => {
  const count = addresses.length
  /** The one that answered last, asked first: a dead one in front is paid for once, not at every call. */
  let first = Math.floor(Math.random() * count)

  return {
    addresses,
    async call(command, request, body, deadline, topic) {
      const failures: RocketMQError[] = []
      let unknownTopic: RocketMQError | undefined
      for (let turn = 0; turn < ROUNDS * count; turn++) {
        const place = turn % count
        if (turn > 0 && place === 0) {
          const ms = FIRST_PAUSE_MS * 2 ** (turn / count) * (0.5 + Math.random())
          if (ms >= remainingMs(deadline)) break // what is known now says more than that time ran out
          await pause(ms, deadline)
        }
        const index = (first + turn) % count
        // Whoever is asked leaves time for the others of its round.
        const timeoutMs = Math.min(network.timeoutMs, Math.ceil(remainingMs(deadline) / (count - place)))
        const limits = { deadline, timeoutMs, topic }
        try {
          const answer = await network.call(addresses[index] as string, command, request, body, limits)
          first = index
          return answer
        } catch (error) {
          if (isUnknownTopic(error)) unknownTopic = error
          else if (!mayAskAnother(error)) throw error
          failures.push(error)
        }
        // One that was just started knows no topics until brokers register, so the others of the round are asked too.
        if (unknownTopic && place === count - 1) throw unknownTopic
      }
      const round = failures.slice(-count)
      const last = round.at(-1)
      const unknown = failures.find(({ outcome }) => outcome === 'unknown')
      if (unknown || count === 1 || last instanceof DeadlineError) throw unknown ?? last
      const reasons = round.map(({ message }) => message).join('; ')
      throw new ConnectError(`no name server answered ${command.name}: ${reasons}`, { cause: last })
    },
  }
}

/** Also of the RouteError that such an answer ends in. */
export const isUnknownTopic = (error: unknown): error is RocketMQError =>
  error instanceof RocketMQError && error.responseCode === TOPIC_NOT_EXIST

/** Not when the call itself is wrong, refused or over. */
const mayAskAnother = (error: unknown): error is RocketMQError =>
  error instanceof RocketMQError &&
  (error.retryable || error.responseCode === 1 || /CONNECT|PROTOCOL|DEADLINE/.test(error.code))
