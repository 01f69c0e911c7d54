/** What is no frame, or no sensible request, disturbs nobody else. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { connect } from 'node:net'
import { it } from 'node:test'
import fc from 'fast-check'
import { catalogue } from '../../../../src/commands/catalogue.ts'
import { createClient, createProducer } from '../../../../src/index.ts'
import { startBroker } from '../../../../src/testing/index.ts'
import { openRaw } from '../../../conformance/raw.ts'

it('random bytes end their own connection, and the others go on', async () => {
  const warnings: string[] = []
  const logger = { warn: (text: string) => void warnings.push(text), error: () => {} }
  await using broker = await startBroker({ topics: ['orders'], logger })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'p' })
  for (const address of [broker.nameServers, broker.brokers[0]?.address ?? '']) {
    const port = Number(address.split(':')[1])
    for (const bytes of fc.sample(fc.uint8Array({ minLength: 12, maxLength: 300 }), {
      numRuns: 50,
      seed: 1,
    })) {
      bytes[0] = 0xff // a length that no frame may have
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
        socket.on('error', () => {}) // told by the close
        socket.on('close', () => resolve())
      })
      await producer.send({ topic: 'orders', body: 'x' })
    }
  }
  deepStrictEqual([warnings.length, broker.messages('orders').length], [100, 100])
  await client.close()
})

it('every command with strange fields is answered, and the broker goes on', async () => {
  await using broker = await startBroker({ topics: ['orders'] })
  const strange = [
    '',
    'x',
    '-1',
    '0',
    '2147483647',
    '9223372036854775807',
    'true',
    'orders',
    '%RETRY%g',
    '*',
    '||',
  ]
  const servers = [broker.brokers[0]?.address ?? '', broker.nameServers]
  for (const address of servers) {
    const raw = await openRaw(address)
    for (const { code, request, wireNames, oneway } of catalogue.values()) {
      if (oneway === true) continue
      for (const value of strange) {
        const names = Object.keys(request).map(
          (name) => (wireNames as Record<string, string>)?.[name] ?? name,
        )
        const ext = Object.fromEntries(names.map((name) => [name, value]))
        for (const topic of [value, 'orders']) {
          const sent = 'topic' in ext ? { ...ext, topic } : 'b' in ext ? { ...ext, b: topic } : ext
          const answer = await raw.ask({ code, ext: sent, body: Buffer.from('{"a":1}') })
          ok(Number.isInteger(answer.code))
        }
      }
    }
    raw.close()
  }
})
