/** A proxy before a server on this machine, which keeps answers back and ends what is connected, seen or unseen. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { FLAG_RESPONSE, type Frame } from '../../src/wire/frame.ts'
import { FrameDecoder } from '../../src/wire/frame-decoder.ts'

/** What becomes of the connections during a freeze. */
export const ENDS = ['stay', 'FIN', 'RST', 'vanish'] as const
export type End = (typeof ENDS)[number]

export interface FreezeProxy {
  /** The port that it stands before. */
  target: number
  port: number
  /** Ends what is connected now, or lets what was held go on. */
  end(how: End): void
  /** From now on nothing comes back from the server. */
  hold(): void
  /** The same on one connection, from such a request on; resolves when the server has answered it. */
  holdAt(isWanted: (request: Frame) => boolean): Promise<void>
  close(): void
}

interface Pair {
  near: Socket
  far: Socket
  /** What the server answered, while it is held. */
  held?: Buffer[] | undefined
}

export async function openFreezeProxy(address: string): Promise<FreezeProxy> {
  const target = Number(address.split(':')[1])
  const pairs = new Set<Pair>()
  let wanted: { isWanted: (request: Frame) => boolean; answered: () => void } | undefined
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    const pair: Pair = { near, far }
    pairs.add(pair)
    const over = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) socket.setNoDelay().on('error', over).on('close', over)
    near.pipe(far)
    /** The request whose answer is waited for. */
    let awaited: { opaque: number; answered: () => void } | undefined
    const [requests, answers] = [new FrameDecoder(), new FrameDecoder()]
    near.on('data', (bytes) =>
      requests.push(bytes, (frame) => {
        if (frame.flag & FLAG_RESPONSE || !wanted?.isWanted(frame)) return
        awaited = { opaque: frame.opaque, answered: wanted.answered }
        wanted = undefined
        pair.held ??= []
      }),
    )
    far.on('data', (bytes) => {
      if (pair.held) pair.held.push(bytes)
      else near.write(bytes)
      answers.push(bytes, ({ flag, opaque }) => {
        if (flag & FLAG_RESPONSE && opaque === awaited?.opaque) awaited.answered()
      })
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    target,
    port: (server.address() as { port: number }).port,
    end(how) {
      for (const pair of pairs) {
        const { near, far, held = [] } = pair
        pair.held = undefined
        if (how === 'stay') {
          for (const bytes of held) near.write(bytes)
          continue
        }
        near.unpipe(far)
        far.removeAllListeners('close').destroy()
        if (how === 'FIN') near.end()
        else if (how === 'RST') near.resetAndDestroy()
        // Whoever writes into it hears nothing more.
        else near.removeAllListeners('close').resume()
        pairs.delete(pair)
      }
    },
    hold() {
      for (const pair of pairs) pair.held ??= []
    },
    holdAt: (isWanted) =>
      new Promise((answered) => {
        wanted = { isWanted, answered }
      }),
    close() {
      server.close()
      for (const { near, far } of pairs) {
        near.destroy()
        far.destroy()
      }
    },
  }
}
