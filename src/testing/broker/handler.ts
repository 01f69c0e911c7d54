/**
 * How a request of the catalogue is handled: its header and body are decoded by the command, what the handler gives is
 * encoded by it, and what it throws becomes the answer that Java's broker gives.
 */
import { type Command, decodeFields, encodeFields } from '../../commands/define.ts'
import { REQUEST_CODE_NOT_SUPPORTED, SYSTEM_ERROR } from '../../commands/response-codes.ts'
import { ProtocolError } from '../../errors.ts'
import type { Frame } from '../../wire/frame.ts'
import type { Connection } from './connection.ts'
import type { Answer, BrokerLogger } from './server.ts'

/** One request under way, on a broker or a name server `S`. */
export interface Call<S> {
  readonly server: S
  readonly connection: Connection
  readonly frame: Frame
  readonly answer: (answer: Answer) => void
}

/** What a handler gives; nothing: it answers later. */
export interface Reply<Response, Body> {
  /** @default 0 */
  code?: number
  remark?: string
  header?: Response
  body?: Body
  /** Header fields that the command does not list. */
  ext?: Readonly<Record<string, string>>
}

export type Handler<S> = (call: Call<S>) => void

/** The end of a handler: the request is refused with this code and text. */
export class Refusal extends Error {
  readonly responseCode: number
  /** Header fields of the answer. */
  readonly ext: Readonly<Record<string, string>> | undefined
  constructor(responseCode: number, remark: string, ext?: Readonly<Record<string, string>>) {
    super(remark)
    this.responseCode = responseCode
    this.ext = ext
  }
}

/** A handler of one command as an entry of a table. */
export function handle<S, Q, A, QB, AB>(
  command: Command<Q, A, QB, AB>,
  run: (call: Call<S>, header: Q, body: QB) => Reply<A, AB> | undefined,
): [number, Handler<S>] {
  const { code, name, request, wireNames, requestBody } = command
  return [
    code,
    (call) => {
      const { frame } = call
      const header = decodeFields(name, request, frame.ext, wireNames)
      const reply = run(call, header, requestBody.decode(frame.body))
      if (reply) call.answer(encodeReply(command, reply))
    },
  ]
}

/** The answer to a request of this command, for handlers that give it later. */
export function encodeReply<A, AB>(
  // biome-ignore lint/suspicious/noExplicitAny: an answer does not depend on what was asked
  command: Command<any, A, any, AB>, // oxlint-disable-line typescript/no-explicit-any
  { code = 0, remark, header, body, ext }: Reply<A, AB>,
): Answer {
  const fields = header ? encodeFields(command.name, command.response, header) : undefined
  return {
    code,
    remark,
    ext: fields && ext ? Object.assign(fields, ext) : (fields ?? ext),
    body: body === undefined ? undefined : command.responseBody.encode(body),
  }
}

/** The answer to a request that has waited: what `run` gives, or its refusal; nothing: it waits again. */
export function answerLater<S, A, AB>(
  call: Call<S>,
  // biome-ignore lint/suspicious/noExplicitAny: an answer does not depend on what was asked
  command: Command<any, A, any, AB>, // oxlint-disable-line typescript/no-explicit-any
  run: () => Reply<A, AB> | undefined,
): void {
  try {
    const reply = run()
    if (reply) call.answer(encodeReply(command, reply))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    call.answer({ code: error.responseCode, remark: error.message }) // the topic is gone, say
  }
}

/** Runs the handler of a request. A request that Java's broker fails on with an exception answers 1 here too. */
export function dispatch<S>(
  handlers: ReadonlyMap<number, Handler<S>>,
  call: Call<S>,
  logger: BrokerLogger,
): void {
  const { code } = call.frame
  const handler = handlers.get(code)
  if (!handler) {
    call.answer({ code: REQUEST_CODE_NOT_SUPPORTED, remark: ` request type ${code} not supported` })
    return
  }
  try {
    handler(call)
  } catch (error) {
    if (error instanceof Refusal) {
      call.answer({ code: error.responseCode, remark: error.message, ext: error.ext })
      return
    }
    if (!(error instanceof ProtocolError)) logger.error(`request ${code} failed`, error)
    const { message } = error as Error
    call.answer({
      code: SYSTEM_ERROR,
      remark: `org.apache.rocketmq.remoting.exception.RemotingCommandException: ${message}`,
    })
  }
}
