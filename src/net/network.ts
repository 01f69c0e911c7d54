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
  type Outcome,
  ProtocolError,
} from '../errors.ts'
import type { Frame } from '../wire/frame.ts'
import { versionName } from '../wire/server-version.ts'
import type { Connection, Request } from './connection.ts'
import { type CredentialSource, type Credentials, signRequest } from './credentials.ts'
import { atMost, beforeSending, type Deadline, isPromise } from './deadline.ts'
import type { Pool } from './pool.ts'
import { repeat } from './repeat.ts'

/** What a command was answered with; `meaning` is one of the results of {@link Meaning}. */
export interface Answer<Response, ResponseBody> {
  code: number
  meaning: Meaning
  remark: string
  header: Response
  body: ResponseBody
  /** The version number of the server. */
  version: number
}

export interface CallLimits {
  deadline: Deadline
  /** How long one attempt may take, in ms. @default the client's timeoutMs */
  timeoutMs?: number | undefined
  /** For the text and facts of errors. */
  topic?: string | undefined
  /** Nobody makes it again when its answer is missing: it goes by a connection that was heard from not long ago. */
  once?: boolean | undefined
}

/** The broker is draining: the request was not executed, and the connection should not be used again. */
const GO_AWAY = 1500

export interface Network {
  readonly pool: Pool
  readonly timeoutMs: number
  /** Calls and waits for the answer. @throws every class of ./errors but RouteError */
  readonly call: <Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ) => Promise<Answer<Response, ResponseBody>>
  /** Sends without waiting for an answer; resolves when the bytes have left for the kernel. */
  readonly oneway: <Request, Response, RequestBody, ResponseBody>(
    address: string,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    limits: CallLimits,
  ) => Promise<void>
}

/** What went to which connection, and the credentials it was signed with. */
interface Sent {
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
  /** Awaits only what is not there yet: a send goes through here, and every promise costs it. */
  const prepare = (
    address: string,
    command: AnyCommand,
    values: unknown,
    body: unknown,
    limits: CallLimits,
  ): Sent | Promise<Sent> => {
    const { code, name, effect } = command
    // Requests that exist on private forks only.
    if ((code === 1001 || code === 1011) && !messageNumbers)
      throw new ConfigError(
        'extensions.messageNumbers',
        `must be true for ${name}: to Apache's brokers ${code} means something else`,
      )
    const ext = encodeFields(name, command.request, values, command.defaults, command.wireNames)
    const bytes = command.requestBody.encode(body)
    const deadline = atMost(limits.timeoutMs ?? timeoutMs, limits.deadline)
    const request = { code, ext, body: bytes, deadline, write: effect !== 'read' }
    const sign = (connection: Connection, credentials: Credentials | undefined): Sent => {
      if (credentials) signRequest(credentials, ext, bytes)
      return { connection, request, credentials }
    }
    const credentials = source.get(deadline)
    if (isPromise(credentials))
      return beforeSending(
        credentials.then(async (own) => sign(await pool.get(address, deadline, limits.once), own)),
      )
    const connection = pool.get(address, deadline, limits.once)
    return beforeSending(
      isPromise(connection)
        ? connection.then((opened) => sign(opened, credentials))
        : sign(connection, credentials),
    )
  }

  const mayRepeat = (command: AnyCommand, error: unknown, { connection, credentials }: Sent): boolean => {
    // Other credentials help against a wrong key, not against a missing grant.
    if (error instanceof AuthError) return isUnknown(error.remark) && source.refuse(credentials)
    if (error instanceof BrokerError && error.responseCode === GO_AWAY) {
      connection.retire()
      return true
    }
    const harmless = command.effect !== 'once'
    return error instanceof ConnectionLostError && (harmless || error.outcome === 'not-sent')
  }

  return {
    pool,
    timeoutMs,
    call(address, command, values, body, limits) {
      let sent: Sent | undefined
      return repeat(
        async () => {
          const prepared = prepare(address, command, values, body, limits)
          sent = isPromise(prepared) ? await prepared : prepared
          const frame = await sent.connection.request(sent.request)
          return readAnswer(command, frame, { address, topic: limits.topic })
        },
        (error, turn) => turn === 0 && sent !== undefined && mayRepeat(command, error, sent),
      )
    },
    async oneway(address, command, values, body, limits) {
      const { connection, request } = await prepare(address, command, values, body, {
        ...limits,
        once: true,
      })
      await connection.oneway(request)
    },
  }
}

/** What the answer says, in the terms of the command. @throws BrokerError or AuthError when it says no */
function readAnswer<Request, Response, RequestBody, ResponseBody>(
  command: Command<Request, Response, RequestBody, ResponseBody>,
  { code, version, remark = '', ext, body }: Frame,
  { address, topic }: ErrorFacts,
): Answer<Response, ResponseBody> {
  const { name, effect } = command
  // Access control of 4.x throws before a request is looked at, and says it with the code of any fault.
  const [, acl] = /AclException: ([^,\n]+)/.exec(remark) ?? []
  const meaning = acl ? 'denied' : meaningOf(command, code)
  const said = (what: string): string =>
    `${address} answered ${name}${topic ? ` for topic ${topic}` : ''} with ${what}`
  const facts = (outcome: Outcome): ErrorFacts => ({
    address,
    topic,
    outcome: effect === 'read' ? undefined : outcome,
  })
  if (!isResult(meaning)) {
    // The remark of a code 1 is a Java stack trace: its first line says what there is to say.
    const [line = ''] = /^.{0,300}/.exec(acl ?? remark) ?? []
    // It wants to know the broker of each request, which Apache's clients from 5.0 on tell.
    if (PROXY_REMARK.test(line))
      throw new ConfigError('nameServers', `${address} is a proxy, not a name server (docs/brokers.md)`, {
        ...facts('refused'),
        responseCode: code,
      })
    const isAuth = acl || (meaning === 'denied' && ACL_REMARK.test(line))
    const Kind = isAuth ? AuthError : BrokerError
    const next =
      code === REQUEST_CODE_NOT_SUPPORTED
        ? `; RocketMQ ${versionName(version) || 'there'} lacks it (docs/brokers.md)`
        : isAuth && isUnknown(line)
          ? '; check the credentials'
          : NEXT_STEP[meaning]
    throw new Kind(said(`code ${code}: ${line}${next ?? ''}`), line, {
      // Code 1 is any exception inside the broker, before or after it stored something.
      ...facts(code === 1 && !acl ? 'unknown' : 'refused'),
      responseCode: code,
      retryable: RETRYABLE.includes(meaning),
    })
  }
  try {
    const header = decodeFields(name, command.response, ext)
    return { code, meaning, remark, header, body: command.responseBody.decode(body), version }
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    const { field, message } = cause
    throw new ProtocolError(said(`nonsense: ${message}`), { ...facts('unknown'), field, cause })
  }
}

const REQUEST_CODE_NOT_SUPPORTED = 3
const PROXY_REMARK = /have field bname$|PullMessageRequestHeader.getSysFlag/
const ACL_REMARK = /username cannot be|is not found|is disabled|no permission to|signature/i
/** Who it is was refused, not what is wanted. */
const isUnknown = (remark: string): boolean => !/permission/.test(remark)
const RETRYABLE: readonly Meaning[] = ['back-off', 'other-broker', 'reconnect']

const NEXT_STEP: Partial<Record<Meaning, string>> = {
  'refresh-route': '; is there such a topic?',
  create: '; create the group',
  denied: '; check the grants',
}
