/**
 * The harness of the real broker itself: what it starts can be used, and nothing of it outlives the test.
 */
import { deepStrictEqual, match, notStrictEqual, strictEqual } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type JavaClient, startJavaClient } from '../support/rocketmq/interop.ts'
import { type Broker, type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

const available = await realBrokerAvailable()

describe('the harness of the real broker', { skip: !available }, () => {
  let rocketmq: RocketMQ
  let java: JavaClient
  let broker: Broker

  before(async () => {
    rocketmq = await startRocketMQ()
    java = await startJavaClient(rocketmq.nameServers)
    const [first] = rocketmq.brokers
    if (!first) throw new Error('no broker')
    broker = first
  })
  after(async () => {
    await java?.stop()
    await rocketmq?.stop()
  })

  test('mqadmin lists the broker under its address', async () => {
    const clusters = await rocketmq.mqadmin('clusterList')

    const line = clusters.split('\n').find((each) => each.startsWith('DefaultCluster')) ?? ''
    deepStrictEqual(line.split(/\s+/).slice(0, 5), [
      'DefaultCluster',
      'broker-a',
      '0',
      broker.address,
      'V5_5_0',
    ])
  })

  test('mqadmin rejects for a command that does not exist', async () => {
    const failure = await rocketmq.mqadmin('noSuchCommand').catch((error: Error) => error.message)

    match(failure, /noSuchCommand not exist/)
  })

  test('a Java client pulls what a Java client has sent, also after the broker was killed and started again', async () => {
    const { pid, address } = broker
    const sent = await java.send({
      topic: 'harness',
      tag: 'a',
      keys: ['k1', 'k2'],
      body: 'grüße',
      compress: 'ZSTD',
    })

    const pulled = await java.pull({ queue: sent.queue, offset: 0 })
    await broker.restart({ kill: true })
    const pulledAgain = await java.pull({ queue: sent.queue, offset: 0 })

    strictEqual(pulled.status, 'FOUND')
    const [message] = pulled.messages
    deepStrictEqual(
      [message?.messageId, message?.tag, message?.keys, message?.body.toString()],
      [sent.messageId, 'a', ['k1', 'k2'], 'grüße'],
    )
    deepStrictEqual(pulledAgain.messages, pulled.messages)
    notStrictEqual(broker.pid, pid)
    strictEqual(broker.address, address)
    strictEqual(isAlive(pid), false)
  })

  test('a paused broker is stopped too, and nothing is left of it', async () => {
    const second = await startRocketMQ()
    const pids = [...second.nameServerProcesses, ...second.brokers].map((server) => server.pid)
    const folders = second.brokers.map((each) => dirname(each.folder))
    for (const each of second.brokers) each.pause()

    await second.stop()

    deepStrictEqual(pids.map(isAlive), [false, false])
    deepStrictEqual(folders.map(existsSync), [false])
  })

  test('a parent that is killed leaves no Java process and no folder', async () => {
    const script = join(import.meta.dirname, '../../scripts/rocketmq.ts')
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    for await (const text of parent.stdout.setEncoding('utf8')) {
      printed += text
      if (printed.includes('Ctrl-C')) break
    }
    const pids = Array.from(printed.matchAll(/pid (\d+)/g), ([, pid]) => Number(pid))
    const folder = /(\/\S+)\/broker-a$/m.exec(printed)?.[1] ?? ''
    const aliveBefore = pids.map(isAlive)

    parent.kill('SIGKILL')
    await until(() => !pids.some(isAlive) && !existsSync(folder))

    deepStrictEqual(aliveBefore, [true, true])
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  const limit = Date.now() + 30_000
  while (!condition()) {
    if (Date.now() > limit) throw new Error('still there after 30 s')
    await delay(50)
  }
}
