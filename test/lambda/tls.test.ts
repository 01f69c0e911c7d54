/** A bundled function that is told by its environment to speak TLS: it trusts the CA that it was given, and no other. */
import { deepStrictEqual } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { bundleFunction } from '../../scripts/bundle.ts'
import { RequestCode } from '../../src/commands/index.ts'
import { httpEvent, startLambda } from '../../src/testing/index.ts'
import { createCertificate } from '../support/certificates.ts'
import { json } from '../support/fake-cluster.ts'
import { fakeServer } from '../support/fake-server.ts'

const stored = { msgId: '0A00000100002A9F0000000000000000', queueId: '0', queueOffset: '0' }

it('publish stores over TLS with the CA of its environment, and sends no byte of a request without it or with another', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-tls-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const root = createCertificate({ name: 'root' })
  const tls = createCertificate({ name: 'server', issuer: root, hosts: ['127.0.0.1'] })
  const broker = await fakeServer(t, (frame, connection) => connection.reply(frame, { ext: stored }), { tls })
  const route = json({
    queueDatas: [{ brokerName: 'broker-a', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
    brokerDatas: [{ cluster: 'c', brokerName: 'broker-a', brokerAddrs: { 0: broker.address } }],
  })
  const nameServer = await fakeServer(t, (frame, connection) => connection.reply(frame, { body: route }), {
    tls,
  })
  const handler = await bundleFunction('publish', folder)
  const withCa = (ca: Record<string, string>) => ({
    handler,
    environment: {
      ROCKETMQ_NAMESRV_ADDR: nameServer.address,
      ROCKETMQ_TOPICS: 'orders',
      ROCKETMQ_TLS: 'true',
      ...ca,
    },
  })
  const functions = {
    right: withCa({ ROCKETMQ_TLS_CA: root.cert }),
    none: withCa({}),
    other: withCa({ ROCKETMQ_TLS_CA: createCertificate({ name: 'root' }).cert }),
  }
  await using lambda = await startLambda({ functions })
  const publish = async (name: keyof typeof functions): Promise<[status: number, requests: number]> => {
    const before = nameServer.frames.length + broker.frames.length
    const event = httpEvent('POST', '/topics/orders/messages', { body: 'x' })
    const { statusCode } = (await lambda.invoke(name, event)).payload as { statusCode: number }
    return [statusCode, nameServer.frames.length + broker.frames.length - before]
  }

  const answers = [await publish('none'), await publish('other'), await publish('right')]

  deepStrictEqual(answers, [
    [503, 0],
    [503, 0],
    [200, 2],
  ])
  deepStrictEqual(broker.codes, [RequestCode.SEND_MESSAGE_V2])
})
