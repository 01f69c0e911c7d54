/**
 * One call to one address, in the terms of the catalogue: encode, sign, send, wait, and say what the answer means.
 *
 * What is repeated here is only what cannot do harm: a request that never left, one whose repetition changes nothing,
 * one that the broker says it did not execute, and one refused for credentials that have been rotated meanwhile.
 */
import {
  type AnyCommand,
  type Command,
  decodeFields,
  encodeFields,
  isResult,
  type Meaning,
  meaningOf,
} from '../commands/define.ts'
import {
  AuthError,
  BrokerError,
  ConfigError,
  ConnectionLostError,
  type ErrorFacts,
  ProtocolError,
} from '../errors.ts'
import type { Frame } from '../wire/frame.ts'
import { type CredentialSource, type Credentials, signRequest } from './credentials.ts'
import type { Deadline } from './deadline.ts'
import type { Pool } from './pool.ts'

/** What a command was answered with; `meaning` is one of the results of {@link Meaning}. */
export interface Answer<Response, ResponseBody> {
  code: number
  meaning: Meaning
  remark: string
  header: Response
  body: ResponseBody
}

export interface CallLimits {
  deadline: Deadline
  /** How long one attempt may take, in ms. @default the client's timeoutMs */
  timeoutMs?: number | undefined
  /** For the text and facts of errors. */
  topic?: string | undefined
}

/** Requests that exist on private forks only; on Apache's brokers 1011 means "clean broker data". */
const PRIVATE_CODES: readonly number[] = [1001, 1011]

export class Network {
  readonly pool: Pool
  readonly timeoutMs: number
  readonly #credentials: CredentialSource
  readonly #messageNumbers: boolean

  constructor(pool: Pool, credentials: CredentialSource, timeoutMs: number, messageNumbers: boolean) {
    this.pool = pool
    this.timeoutMs = timeoutMs
    this.#credentials = credentials
    this.#messageNumbers = messageNumbers
  }

  /** Calls and waits for the answer. @throws every class of ./errors but RouteError */
  async call<Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ): Promise<Answer<Response, ResponseBody>> {
    const prepared = this.#prepare(command, request, body)
    for (let attempt = 1; ; attempt++) {
      let credentials: Credentials | undefined
      try {
        const { deadline } = limits
        const at = Math.min(deadline.at, Date.now() + (limits.timeoutMs ?? this.timeoutMs))
        credentials = await this.#credentials.get(deadline, at)
        const connection = await this.pool.get(address, deadline, at)
        const ext = this.#sign(prepared, credentials)
        const { code, effect } = command
        const frame = await connection.request({
          code,
          ext,
          body: prepared.body,
          deadline,
          at,
          write: effect !== 'read',
        })
        const answer = read(command, frame, address, limits)
        if (answer.meaning !== 'reconnect') return answer
        connection.retire()
        throw brokerError(command, frame, 'reconnect', address, limits)
      } catch (error) {
        if (attempt > 1 || !this.#mayRepeat(command, error, credentials)) throw error
      }
    }
  }

  /** Sends without waiting for an answer; resolves when the bytes have left for the kernel. */
  async oneway<Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ): Promise<void> {
    const prepared = this.#prepare(command, request, body)
    const { deadline } = limits
    const at = Math.min(deadline.at, Date.now() + (limits.timeoutMs ?? this.timeoutMs))
    const credentials = await this.#credentials.get(deadline, at)
    const connection = await this.pool.get(address, deadline, at)
    const ext = this.#sign(prepared, credentials)
    await connection.oneway({ code: command.code, ext, body: prepared.body, deadline, at, write: true })
  }

  #prepare<Request, Response, RequestBody, ResponseBody>(
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
  ): { ext: Record<string, string>; body: Uint8Array | undefined } {
    if (PRIVATE_CODES.includes(command.code) && !this.#messageNumbers) {
      throw new ConfigError(
        'extensions.messageNumbers',
        `request ${command.code} (${command.name}) belongs to a private fork; an Apache broker takes 1011 for "clean broker data", so it is sent only by a client created with extensions: { messageNumbers: true }`,
        { outcome: 'not-sent' },
      )
    }
    const { request: fields, defaults, wireNames } = command
    return {
      ext: encodeFields(command.name, fields, request, defaults, wireNames),
      body: command.requestBody.encode(body),
    }
  }

  #sign(
    prepared: { ext: Record<string, string>; body: Uint8Array | undefined },
    credentials: Credentials | undefined,
  ): Record<string, string> {
    if (!credentials) return prepared.ext
    const ext = { ...prepared.ext }
    signRequest(credentials, ext, prepared.body)
    return ext
  }

  #mayRepeat(command: AnyCommand, error: unknown, credentials: Credentials | undefined): boolean {
    if (error instanceof AuthError) {
      if (!credentials || !this.#credentials.rotates) return false
      this.#credentials.refuse(credentials)
      return true
    }
    if (error instanceof BrokerError) return error.responseCode === 1500
    return error instanceof ConnectionLostError && (error.outcome === 'not-sent' || command.effect !== 'once')
  }
}

function read<Request, Response, RequestBody, ResponseBody>(
  command: Command<Request, Response, RequestBody, ResponseBody>,
  frame: Frame,
  address: string,
  limits: CallLimits,
): Answer<Response, ResponseBody> {
  const meaning = meaningOf(command, frame.code)
  if (meaning !== 'reconnect' && !isResult(meaning))
    throw brokerError(command, frame, meaning, address, limits)
  const remark = frame.remark ?? ''
  if (meaning === 'reconnect') return { code: frame.code, meaning, remark } as Answer<Response, ResponseBody>
  try {
    const header = decodeFields(command.name, command.response, frame.ext)
    return { code: frame.code, meaning, remark, header, body: command.responseBody.decode(frame.body) }
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new ProtocolError(`the answer of ${address} to ${command.name} makes no sense: ${cause.message}`, {
      address,
      topic: limits.topic,
      field: cause.field,
      outcome: command.effect === 'read' ? undefined : 'unknown',
      cause,
    })
  }
}

const ACL_REMARK =
  /username cannot be null|is not found|check signature failed|no permission to access|signature/i

function brokerError(
  command: AnyCommand,
  frame: Frame,
  meaning: Meaning,
  address: string,
  limits: CallLimits,
): BrokerError {
  // The remark of a code 1 is a Java stack trace: its first line says what there is to say.
  const remark = (frame.remark ?? '').split('\n', 1)[0]?.slice(0, 300) ?? ''
  const facts: ErrorFacts = {
    responseCode: frame.code,
    address,
    topic: limits.topic,
    retryable: meaning === 'back-off' || meaning === 'other-broker' || meaning === 'reconnect',
    // Code 1 is any exception inside the broker, before or after it stored something.
    outcome: command.effect === 'read' ? undefined : frame.code === 1 ? 'unknown' : 'refused',
  }
  const on = limits.topic === undefined ? '' : ` for topic ${limits.topic}`
  const text = `${address} answered ${command.name}${on} with code ${frame.code}${remark && `: ${remark}`}`
  const next = NEXT_STEP[meaning]
  const message = next ? `${text}; ${next}` : text
  return meaning === 'denied' && ACL_REMARK.test(remark)
    ? new AuthError(message, remark, facts)
    : new BrokerError(message, remark, facts)
}

const NEXT_STEP: Partial<Record<Meaning, string>> = {
  'refresh-route': 'create the topic, or check its name',
  'back-off': 'the broker is busy, try again later',
  create: 'create the consumer group, or pull once with it',
  fix: 'correct the request',
  denied: 'check the credentials and what they are granted',
}
