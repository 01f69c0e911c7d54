/**
 * A broker whose answers to some requests fail, and to all others do not: a proxy in front of a real one, or of the local one,
 * that lets every frame pass but those that it was told to fail.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { parseHost } from '../../src/wire/address.ts'
import { decodeFrame, type Frame } from '../../src/wire/index.ts'
import { answerBytes, type FakeAnswer } from './fake-server.ts'

/** What becomes of a request: none of them reaches the broker. */
export type Failing = 'silent' | 'reset' | 'end' | 'half-frame' | 'garbage' | FakeAnswer

export interface FailingRule {
  code: number | readonly number[]
  how: Failing
  /** Only what is about this queue. */
  queueId?: number
  /** How many of these pass before. @default 0 */
  after?: number
}

export interface FailingBroker extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string
  /** From now on, in place of what was to fail before. */
  fail(rule: FailingRule): void
  heal(): void
  /** Every request that came, failed ones too. */
  readonly requests: readonly Frame[]
}

const LENGTH_BYTES = 4
/** A length that no frame has. */
const GARBAGE = Buffer.alloc(64, 0xff)

/** @param target `host:port` of the broker */
export async function failingBroker(target: string): Promise<FailingBroker> {
  const requests: Frame[] = []
  const sockets = new Set<Socket>()
  let rule: FailingRule | undefined
  let matched = 0

  const isToFail = ({ code, ext }: Frame): boolean => {
    if (!rule || ![rule.code].flat().includes(code)) return false
    if (rule.queueId !== undefined && ext['queueId'] !== String(rule.queueId)) return false
    matched += 1
    return matched > (rule.after ?? 0)
  }

  const fail = (frame: Frame, client: Socket, how: Failing): void => {
    if (how === 'silent') return
    if (how === 'reset') client.resetAndDestroy()
    else if (how === 'end') client.end()
    else if (how === 'garbage') client.write(GARBAGE)
    else if (how === 'half-frame') client.end(answerBytes(frame, { ext: { offset: '0' } }).subarray(0, 20))
    else client.write(answerBytes(frame, how))
  }

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ ...parseHost(target), noDelay: true })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined) // told by the close
      socket.on('close', () => sockets.delete(socket) && other.destroy())
    }
    upstream.pipe(client)
    let rest: Buffer = Buffer.alloc(0)
    client.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= LENGTH_BYTES && rest.length >= LENGTH_BYTES + rest.readUInt32BE()) {
        const bytes = rest.subarray(0, LENGTH_BYTES + rest.readUInt32BE())
        rest = rest.subarray(bytes.length)
        const frame = decodeFrame(Buffer.from(bytes.subarray(LENGTH_BYTES)))
        requests.push(frame)
        if (rule && isToFail(frame)) fail(frame, client, rule.how)
        else upstream.write(bytes)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fail(given) {
      rule = given
      matched = 0
    },
    heal() {
      rule = undefined
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
