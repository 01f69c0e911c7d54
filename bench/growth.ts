/**
 * How memory grows: with routes in the cache, with connections, with calls in flight. The other side is a server in this
 * process that knows every topic and otherwise stays silent; the client runs in a process of its own.
 */
import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { encodeFrame, FrameDecoder } from '../src/wire/index.ts'
import { type Cells, table, whole } from './report.ts'
import { topicSteps } from './rows.ts'

const run = promisify(execFile)
const program = join(import.meta.dirname, 'programs/memory.ts')
const ROUTE = JSON.stringify({
  brokerDatas: [{ brokerName: 'broker-a', brokerAddrs: { 0: '127.0.0.1:10911' }, cluster: 'c' }],
  queueDatas: [{ brokerName: 'broker-a', perm: 6, readQueueNums: 8, writeQueueNums: 8, topicSysFlag: 0 }],
})

/** What programs/memory.ts prints. */
export interface Growth {
  microseconds: number
  nanosecondsCached?: number
  /** Of each; of routes in all. */
  bytes: number
}

export async function growth(): Promise<string> {
  const server = await startServer()
  const { port } = server.address() as { port: number }
  const measure = async (kind: string, count: number): Promise<Growth> => {
    const args = ['--expose-gc', program, JSON.stringify({ kind, count, port })]
    return JSON.parse((await run(process.execPath, args)).stdout)
  }
  try {
    const routes: Cells[] = []
    for (const count of topicSteps) {
      const { microseconds, nanosecondsCached = 0, bytes } = await measure('routes', count)
      routes.push([whole(count), microseconds.toFixed(0), nanosecondsCached.toFixed(0), whole(bytes / 1000)])
    }
    const connections = await measure('connections', 200)
    const calls = await measure('calls', 20_000)
    return [
      `**Topics in the route cache** (it holds 10,000 and then begins anew)\n\n${table(
        ['topics', 'µs to fetch one', 'ns to find one again', 'KB in all, at the end'],
        routes,
      )}`,
      `**Memory**\n\n${table(
        ['', 'bytes each'],
        [
          [
            'a connection, idle (of it 64 KiB to read into, and 64 KiB to write from once it has sent)',
            whole(connections.bytes),
          ],
          ['a call in flight, with a body of 100 bytes', whole(calls.bytes)],
        ],
      )}`,
    ].join('\n\n')
  } finally {
    server.close()
  }
}

/** Answers requests for routes, and nothing else. It listens everywhere on this machine: 127.0.0.1, 127.0.0.2, … */
async function startServer(): Promise<Server> {
  const server = createServer((socket) => {
    const decoder = new FrameDecoder()
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) =>
      decoder.push(chunk, ({ code, opaque }) => {
        if (code === 105) socket.write(encodeFrame({ code: 0, opaque, flag: 1, body: Buffer.from(ROUTE) }))
      }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
