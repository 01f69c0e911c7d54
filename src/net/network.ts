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
  ProtocolError,
  RocketMQError,
} from '../errors.ts'
import type { Frame } from '../wire/frame.ts'
import type { Connection, Request } from './connection.ts'
import { type CredentialSource, type Credentials, signRequest } from './credentials.ts'
import { asNotSent, type Deadline } from './deadline.ts'
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

/** The broker is draining: the request was not executed, and the connection should not be used again. */
const GO_AWAY = 1500

export interface Network {
  readonly pool: Pool
  readonly timeoutMs: number
  /** Calls and waits for the answer. @throws every class of ./errors but RouteError */
  call<Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ): Promise<Answer<Response, ResponseBody>>
  /** Sends without waiting for an answer; resolves when the bytes have left for the kernel. */
  oneway<Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ): Promise<void>
}

/** What goes to which connection, and the credentials it was signed with. */
interface Prepared {
  connection: Connection
  request: Request
  credentials: Credentials | undefined
}

export function createNetwork(
  pool: Pool,
  source: CredentialSource,
  timeoutMs: number,
  messageNumbers: boolean,
): Network {
  const prepare = async (
    address: string,
    command: AnyCommand,
    values: unknown,
    body: unknown,
    { deadline, timeoutMs: ownMs = timeoutMs }: CallLimits,
  ): Promise<Prepared> => {
    const { code, name, effect } = command
    // Requests that exist on private forks only.
    if ((code === 1001 || code === 1011) && !messageNumbers) {
      const rule = `must be true to send ${name}: only a private fork knows it, and Apache's 1011 is "clean broker data"`
      throw new ConfigError('extensions.messageNumbers', rule)
    }
    const ext = encodeFields(name, command.request, values, command.defaults, command.wireNames)
    const bytes = command.requestBody.encode(body)
    const at = Math.min(deadline.at, Date.now() + ownMs)
    const credentials = await source.get(deadline, at)
    const connection = await pool.get(address, deadline, at)
    if (credentials) signRequest(credentials, ext, bytes)
    const request = { code, ext, body: bytes, deadline, at, write: effect !== 'read' }
    return { connection, request, credentials }
  }

  const mayRepeat = (command: AnyCommand, error: unknown, { connection, credentials }: Prepared): boolean => {
    if (error instanceof AuthError) {
      if (credentials) source.refuse(credentials)
      return credentials !== undefined && source.rotates
    }
    if (error instanceof BrokerError && error.responseCode === GO_AWAY) {
      connection.retire()
      return true
    }
    return error instanceof ConnectionLostError && (error.outcome === 'not-sent' || command.effect !== 'once')
  }

  return {
    pool,
    timeoutMs,
    async call(address, command, values, body, limits) {
      let earlier: unknown
      for (;;) {
        let prepared: Prepared | undefined
        try {
          prepared = await prepare(address, command, values, body, limits)
          const frame = await prepared.connection.request(prepared.request)
          return readAnswer(command, frame, address, limits.topic)
        } catch (error) {
          if (!prepared || !mayRepeat(command, error, prepared) || earlier)
            throw inSumOf(earlier, prepared ? error : asNotSent(error))
          earlier = error
        }
      }
    },
    async oneway(address, command, values, body, limits) {
      const { connection, request } = await prepare(address, command, values, body, limits)
      await connection.oneway(request)
    },
  }
}

/** The error of a repeated call: the last one, unless that was not sent and an earlier attempt may have done it. */
export function inSumOf(earlier: unknown, last: unknown): unknown {
  const mayBeDone = earlier instanceof RocketMQError && earlier.outcome === 'unknown'
  return mayBeDone && last instanceof RocketMQError && last.outcome === 'not-sent' ? earlier : last
}

function readAnswer<Request, Response, RequestBody, ResponseBody>(
  command: Command<Request, Response, RequestBody, ResponseBody>,
  frame: Frame,
  address: string,
  topic: string | undefined,
): Answer<Response, ResponseBody> {
  const { code, remark = '' } = frame
  const meaning = meaningOf(command, code)
  if (!isResult(meaning)) throw brokerError(command, frame, meaning, address, topic)
  try {
    const header = decodeFields(command.name, command.response, frame.ext)
    return { code, meaning, remark, header, body: command.responseBody.decode(frame.body) }
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new ProtocolError(`${address} answered ${command.name} with nonsense: ${cause.message}`, {
      address,
      topic,
      field: cause.field,
      outcome: command.effect === 'read' ? undefined : 'unknown',
      cause,
    })
  }
}

function brokerError(
  command: AnyCommand,
  frame: Frame,
  meaning: Meaning,
  address: string,
  topic: string | undefined,
): BrokerError {
  const { code } = frame
  // The remark of a code 1 is a Java stack trace: its first line says what there is to say.
  const remark = /^.{0,300}/.exec(frame.remark ?? '')?.[0] ?? ''
  const facts = {
    responseCode: code,
    address,
    topic,
    retryable: meaning === 'back-off' || meaning === 'other-broker' || meaning === 'reconnect',
    // Code 1 is any exception inside the broker, before or after it stored something.
    outcome: command.effect === 'read' ? undefined : code === 1 ? 'unknown' : 'refused',
  } as const
  const text = `${address} answered ${command.name}${topic ? ` for topic ${topic}` : ''} with code ${code}: ${remark}${NEXT_STEP[meaning] ?? ''}`
  return meaning === 'denied' && ACL_REMARK.test(remark)
    ? new AuthError(text, remark, facts)
    : new BrokerError(text, remark, facts)
}

const ACL_REMARK = /username cannot be null|is not found|no permission to access|signature/i

const NEXT_STEP: Partial<Record<Meaning, string>> = {
  'refresh-route': '; create the topic, or check its name',
  'back-off': '; it is busy, try again later',
  create: '; create the consumer group, or pull once with it',
  fix: '; correct the request',
  denied: '; check the credentials and their grants',
}
