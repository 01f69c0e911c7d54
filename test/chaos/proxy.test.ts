/** The proxy: what a client gets of three answers when one fault lasts, and what is recorded of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { until } from '../conformance/context.ts'
import { seeded } from '../support/random.ts'
import { type FaultProxy, type NetworkFault, type Recorded, readRecording, startProxy } from './proxy.ts'

/** A frame with one byte in it. */
const frame = (byte: number): Buffer => Buffer.of(0, 0, 0, 1, byte)

interface Setting {
  proxy: FaultProxy
  client: Socket
  recording: string
  /** How many bytes the server got. */
  readonly arrived: () => number
  /** What the client has got, and how its connection ended. */
  readonly got: () => { hex: string; end: 'open' | 'ended' | 'reset' }
}

/** A server that answers each frame by the same; the client is connected through the proxy, which is sound so far. */
async function open(t: TestContext): Promise<Setting> {
  let arrived = 0
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      arrived += bytes.length
      socket.write(bytes)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-proxy-'))
  const recording = join(folder, 'bytes')
  const target = { host: '127.0.0.1', port }
  const proxy = await startProxy({ host: '127.0.0.1', port: 0, target, random: seeded(1), recording })
  const client = connect(Number(proxy.address.split(':')[1]), '127.0.0.1')
  await once(client, 'connect')
  t.after(async () => {
    client.destroy()
    await proxy.close()
    await rm(folder, { recursive: true, force: true })
  })
  let hex = ''
  let end: 'open' | 'ended' | 'reset' = 'open'
  client.on('data', (bytes: Buffer) => (hex += bytes.toString('hex')))
  client.on('end', () => (end = 'ended'))
  client.on('error', () => (end = 'reset'))
  const got: Setting['got'] = () => ({ hex, end })
  return { proxy, client, recording, arrived: () => arrived, got }
}

/** What was recorded so far: something that has come through has been seen by the proxy. */
const recorded = async (recording: string): Promise<Recorded[]> => readRecording(await readFile(recording))

const [a, b] = [frame(0xaa), frame(0xbb)]
const [first, second] = [a.toString('hex'), b.toString('hex')]

describe('the fault proxy', { timeout: 30_000 }, () => {
  for (const [fault, hex, end] of [
    [undefined, first + second, 'open'],
    ['delay', first + second, 'open'],
    ['duplicate', first + first + second + second, 'open'],
    ['reorder', second + first, 'open'],
    ['bytewise', first + second, 'open'],
    ['cut', '', 'reset'],
  ] satisfies [NetworkFault | undefined, string, string][])
    it(`gives a client ${hex || 'nothing'}, ${end}, with ${fault ?? 'no fault'}`, async (t) => {
      const { proxy, client, got } = await open(t)
      proxy.fault = fault

      client.write(Buffer.concat([a, b]))
      await until('all of it', () => got().hex.length >= hex.length && got().end === end)

      assert.deepStrictEqual(got(), { hex, end })
    })

  it('gives a client a part of an answer and the end, with half-frame', async (t) => {
    const { proxy, client, got } = await open(t)
    proxy.fault = 'half-frame'

    client.write(a)
    await until('the end', () => got().end === 'ended')

    const { hex } = got()
    assert.ok(hex.length > 0 && hex.length < first.length && first.startsWith(hex), hex)
  })

  for (const [fault, bytes, pieces] of [
    ['lost-answer', 5, 2],
    ['drop', 0, 1],
    ['silent', 0, 1],
  ] satisfies [NetworkFault, number, number][])
    it(`gives a server ${bytes} bytes and the client nothing, with ${fault}`, async (t) => {
      const { proxy, client, arrived, got, recording } = await open(t)
      proxy.fault = fault
      client.write(a)
      await until('the proxy to see it', async () => (await recorded(recording)).length === pieces)

      proxy.fault = undefined
      client.write(b)
      await until('the second answer', () => got().hex !== '')

      assert.deepStrictEqual([arrived(), got().hex], [bytes + 5, second])
    })

  it('resets what is open and refuses what is new, with refuse', async (t) => {
    const { proxy, got } = await open(t)

    proxy.fault = 'refuse'
    const another = connect(Number(proxy.address.split(':')[1]), '127.0.0.1')
    const [error] = (await once(another, 'error')) as [NodeJS.ErrnoException]
    await until('the reset', () => got().end === 'reset')

    assert.deepStrictEqual(error.code, 'ECONNRESET')
  })

  it('keeps a client’s connection open that leads nowhere, and lets a new one work, with swallow-end', async (t) => {
    const { proxy, client, got } = await open(t)

    proxy.fault = 'swallow-end'
    client.write(a)
    const another = connect(Number(proxy.address.split(':')[1]), '127.0.0.1')
    t.after(() => another.destroy())
    another.write(b)
    const [answer] = (await once(another, 'data')) as [Buffer]

    assert.deepStrictEqual([answer, got()], [b, { hex: '', end: 'open' }])
  })

  it('records every byte of both directions', async (t) => {
    const { proxy, client, got, recording } = await open(t)
    client.write(a)
    await until('the answer', () => got().hex === first)
    await proxy.close()

    const pieces = await recorded(recording)

    assert.deepStrictEqual(
      pieces.map(({ connection, direction, bytes }) => [connection, direction, bytes.toString('hex')]),
      [
        [1, 'request', first],
        [1, 'answer', first],
      ],
    )
  })
})
