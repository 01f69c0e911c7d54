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
import { type FaultProxy, type NetworkFault, startProxy } from './proxy.ts'
import { type Recorded, readRecording } from './recording.ts'

/** A frame with so many bytes of a kind in it. */
function frame(byte: number, count = 1): Buffer {
  const bytes = Buffer.alloc(4 + count, byte)
  bytes.writeUInt32BE(count, 0)
  return bytes
}

interface Setting {
  proxy: FaultProxy
  client: Socket
  recording: string
  /** What the server has got, and how the connection ended. */
  readonly arrived: () => Got
  /** The same of the client. */
  readonly got: () => Got
  /** How many bytes a read has brought, of the server and of the client, on average. */
  readonly pieces: () => [number, number]
}

interface Got {
  hex: string
  end: 'open' | 'ended' | 'reset'
}

function listen(socket: Socket): { got: Got; reads: number } {
  const seen: { got: Got; reads: number } = { got: { hex: '', end: 'open' }, reads: 0 }
  socket.on('data', (bytes: Buffer) => {
    seen.got.hex += bytes.toString('hex')
    seen.reads += 1
  })
  socket.on('end', () => (seen.got.end = 'ended'))
  socket.on('error', () => (seen.got.end = 'reset'))
  return seen
}

const average = ({ got, reads }: { got: Got; reads: number }): number => got.hex.length / 2 / reads

/** A server that sends back what it gets; the client is connected through the proxy, which is sound so far. */
async function open(t: TestContext): Promise<Setting> {
  let atServer: ReturnType<typeof listen> = { got: { hex: '', end: 'open' }, reads: 0 }
  const server = createServer({ noDelay: true }, (socket) => {
    atServer = listen(socket)
    socket.on('data', (bytes: Buffer) => socket.write(bytes))
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
  const atClient = listen(client)
  return {
    proxy,
    client,
    recording,
    arrived: () => atServer.got,
    got: () => atClient.got,
    pieces: () => [average(atServer), average(atClient)],
  }
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
    ['cut-request', '', 'reset'],
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

  for (const [fault, end] of [
    ['half-request', 'ended'],
    ['cut-request', 'reset'],
  ] satisfies [NetworkFault, string][])
    it(`gives a server a part of a request, and then its connection is ${end}, with ${fault}`, async (t) => {
      const { proxy, client, arrived } = await open(t)
      const long = frame(0xaa, 1_000)
      proxy.fault = fault

      client.write(long)
      client.write(b)
      await until('the end', () => arrived().end === end)

      const { hex } = arrived()
      assert.ok(hex.length > 0 && hex.length < long.length * 2 && long.toString('hex').startsWith(hex), hex)
    })

  it('leaves it to a server what becomes of a connection, with half-request', async (t) => {
    const { proxy, client, got, arrived } = await open(t)
    proxy.fault = 'half-request'

    client.write(a)
    await until('the end', () => got().end === 'ended')

    // The server sends back even what is no frame, and ends as its peer did.
    assert.deepStrictEqual(got().hex, '')
    assert.deepStrictEqual(arrived().end, 'ended')
  })

  it('writes requests and answers byte by byte, with bytewise', async (t) => {
    const { proxy, client, got, pieces } = await open(t)
    const long = frame(0xaa, 3_000)
    proxy.fault = 'bytewise'

    client.write(long)
    await until('all of it', () => got().hex.length === long.length * 2)

    assert.deepStrictEqual(got(), { hex: long.toString('hex'), end: 'open' })
    // A kernel without time may bring two in one read.
    for (const each of pieces()) assert.ok(each < 2, `${each} bytes a read`)
  })

  it('passes on what is no whole frame when its sender ends', async (t) => {
    const { client, got, arrived } = await open(t)

    client.end(a.subarray(0, 3))
    await until('the end', () => got().end === 'ended')

    const hex = first.slice(0, 6)
    assert.deepStrictEqual(
      [arrived(), got()],
      [
        { hex, end: 'ended' },
        { hex, end: 'ended' },
      ],
    )
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

      assert.deepStrictEqual([arrived().hex.length / 2, got().hex], [bytes + 5, second])
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
