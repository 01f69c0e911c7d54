/** A socket without a client behind it, for requests that the client refuses to send. */
import { connect, type Socket } from 'node:net'
import { type Command, encodeFields } from '../../src/commands/define.ts'
import { parseHost } from '../../src/wire/address.ts'
import { encodeFrame, FLAG_RESPONSE, type Frame, type FrameInput } from '../../src/wire/frame.ts'
import { FrameDecoder } from '../../src/wire/frame-decoder.ts'

/** A frame whose opaque is chosen when it is left out. */
export type RawRequest = Omit<FrameInput, 'opaque'> & { opaque?: number }

export interface RawConnection {
  /** Writes a request and waits for the answer with its opaque. Rejects when the connection closes before it. */
  ask(request: RawRequest, encode?: (frame: FrameInput) => Buffer): Promise<Frame>
  write(bytes: Uint8Array): void
  /** Requests that the server has sent so far; their bodies are copies. */
  readonly requests: readonly Frame[]
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>
  close(): void
}

export async function openRaw(address: string): Promise<RawConnection> {
  const { host, port } = parseHost(address)
  const socket: Socket = connect({ host, port, noDelay: true })
  const waiting = new Map<number, (frame: Frame) => void>()
  const decoder = new FrameDecoder()
  let opaque = 100
  const requests: Frame[] = []
  socket.on('data', (chunk: Buffer) =>
    decoder.push(chunk, ({ body, ...rest }) => {
      const frame = { ...rest, body: Buffer.from(body) }
      if ((frame.flag & FLAG_RESPONSE) === 0) requests.push(frame)
      else waiting.get(frame.opaque)?.(frame)
    }),
  )
  const closed = new Promise<void>((resolve) => {
    socket.on('error', () => {}) // told by the close
    socket.on('close', () => resolve())
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return {
    closed,
    requests,
    write: (bytes) => void socket.write(bytes),
    close: () => void socket.destroy(),
    ask(request, encode = encodeFrame) {
      const frame = { ...request, opaque: request.opaque ?? ++opaque }
      const answer = new Promise<Frame>((resolve, reject) => {
        waiting.set(frame.opaque, resolve)
        void closed.then(() => reject(new Error(`${address} closed the connection`)))
      })
      socket.write(encode(frame))
      return answer
    },
  }
}

/** A request of the catalogue as a frame, its header checked for nothing but the types. */
export function frameOf<Request>(
  command: Pick<Command<Request>, 'code' | 'name' | 'request' | 'defaults' | 'wireNames'>,
  request: Request,
  body?: Uint8Array,
): Omit<FrameInput, 'opaque'> {
  const { code, name, defaults, wireNames } = command
  return { code, ext: encodeFields(name, command.request, request, defaults, wireNames), body }
}
