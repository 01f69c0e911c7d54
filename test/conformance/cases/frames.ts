/** The frame itself (protocol.md 1), on a socket without a client. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { GetMsgNo, PutMsgNo } from '../../../src/commands/message-numbers.ts'
import { GetMaxOffset } from '../../../src/commands/offsets.ts'
import { PopMessage } from '../../../src/commands/pop.ts'
import { GetRouteInfoByTopic } from '../../../src/commands/route.ts'
import { SendMessage, SendMessageV2 } from '../../../src/commands/send.ts'
import { encodeFrame, encodeFrameBinary, FLAG_ONEWAY, FLAG_RESPONSE } from '../../../src/wire/frame.ts'
import { type Cases, failure } from '../context.ts'
import { frameOf, openRaw } from '../raw.ts'
import { plainSend } from './requests.ts'

export const frames: Cases = {
  'a request code that does not exist answers 3, on broker and name server': async (c) => {
    for (const address of [c.master, ...c.client.nameServers.addresses]) {
      const raw = await openRaw(address)
      const { code, remark } = await raw.ask({ code: 31_999 })
      deepStrictEqual([code, remark?.includes('31999')], [3, true])
      raw.close()
    }
  },

  'requests with JSON and with binary headers mix on one connection, and all are answered': async (c) => {
    const topic = await c.topic()
    const raw = await openRaw(c.master)
    const send = frameOf(SendMessageV2, plainSend(topic, { properties: { mine: 'grün' } }), Buffer.from('x'))
    const answers = await Promise.all(
      [encodeFrame, encodeFrameBinary, encodeFrame, encodeFrameBinary].map((encode) => raw.ask(send, encode)),
    )
    deepStrictEqual(
      answers.map((each) => [each.code, each.flag & FLAG_RESPONSE]),
      Array(4).fill([0, 1]),
    )
    raw.close()
    deepStrictEqual(
      (await c.read(topic, 4)).map((message) => message.properties['mine']),
      Array(4).fill('grün'),
    )
    const nameServer = await openRaw(c.client.nameServers.addresses[0] ?? '')
    const route = await nameServer.ask(frameOf(GetRouteInfoByTopic, { topic }), encodeFrameBinary)
    deepStrictEqual(route.code, 0)
    nameServer.close()
  },

  'a code above 32767 does not fit a binary header: the broker sees another one': async (c) => {
    const raw = await openRaw(c.master)
    const { code, ext, body } = frameOf(PopMessage, {
      consumerGroup: 'g',
      topic: 't',
      queueId: -1,
      maxMsgNums: 1,
      invisibleTime: 1_000n,
      initMode: 0,
    })
    const bytes = (frame: Parameters<typeof encodeFrameBinary>[0]) =>
      encodeFrameBinary({ ...frame, code: (code << 16) >> 16 })
    const answer = await raw.ask({ code, ext, body }, bytes)
    deepStrictEqual([answer.code, answer.remark?.includes('3442')], [3, true])
    raw.close()
  },

  'a one-way request is never answered, not even when it fails': async (c) => {
    const raw = await openRaw(c.master)
    let answered = false
    const oneway = raw.ask({ code: 31_999, flag: FLAG_ONEWAY }).then(
      () => {
        answered = true
      },
      () => undefined,
    )
    await raw.ask(frameOf(GetMaxOffset, { topic: 't', queueId: 0 })) // answered behind it
    raw.close()
    await oneway
    deepStrictEqual(answered, false)
  },

  'other bits of the flag mean nothing': async (c) => {
    const raw = await openRaw(c.master)
    const answer = await raw.ask({ ...frameOf(GetMaxOffset, { topic: 't', queueId: 0 }), flag: 0x70 })
    deepStrictEqual(answer.code, 0)
    raw.close()
  },

  'a negative opaque is echoed': async (c) => {
    const raw = await openRaw(c.master)
    const request = frameOf(GetMaxOffset, { topic: 't', queueId: 0 })
    const answers = await Promise.all(
      [-5, -(2 ** 31), 2 ** 31 - 1].map((opaque) => raw.ask({ ...request, opaque })),
    )
    deepStrictEqual(
      answers.map((each) => [each.opaque, each.code]),
      [
        [-5, 0],
        [-(2 ** 31), 0],
        [2 ** 31 - 1, 0],
      ],
    )
    raw.close()
  },

  'header fields that a request does not have are ignored, a missing one answers 1': async (c) => {
    const raw = await openRaw(c.master)
    const { ext, ...request } = frameOf(GetMaxOffset, { topic: 't', queueId: 0 })
    const answers = await Promise.all([
      raw.ask({ ...request, ext: { ...ext, unheard: 'of', ns: 'INST', nsd: 'true' } }),
      raw.ask({ ...request, ext: { topic: 't' } }),
      raw.ask({ ...request, ext: { topic: 't', queueId: 'two' } }),
    ])
    deepStrictEqual(
      answers.map((each) => each.code),
      [0, 1, 1],
    )
    raw.close()
  },

  'a frame above 16 MiB ends the connection': async (c) => {
    const raw = await openRaw(c.master)
    const length = Buffer.alloc(16) // a server looks at nothing before it has 12 bytes
    length.writeUInt32BE((16 << 20) + 1)
    raw.write(length)
    await raw.closed
  },

  'bytes that are no header end the connection': async (c) => {
    for (const header of ['{not json', '[1, 2, 3]', '"text"   ']) {
      const raw = await openRaw(c.master)
      const bytes = Buffer.alloc(8 + header.length)
      bytes.writeUInt32BE(4 + header.length, 0)
      bytes.writeUInt32BE(header.length, 4)
      bytes.write(header, 8)
      raw.write(bytes)
      await raw.closed
    }
  },

  'a header longer than its frame ends the connection': async (c) => {
    const raw = await openRaw(c.master)
    const bytes = Buffer.alloc(16)
    bytes.writeUInt32BE(12, 0)
    bytes.writeUInt32BE(1_000, 4)
    raw.write(bytes)
    await raw.closed
  },

  'a whole message above 16 MiB is refused by the client before anything is written': async (c) => {
    const topic = await c.topic()
    const { error, outcome } = await failure(
      c.call(SendMessage, plainSend(topic), Buffer.alloc(17 << 20)),
    ).catch((cause: unknown) => ({ error: (cause as Error).name, outcome: undefined }))
    deepStrictEqual([error, outcome === undefined || outcome === 'not-sent'], ['ProtocolError', true])
    ok((await c.consumer().maxOffset(c.queue(topic))) === 0n)
  },

  'a code of a private fork is never sent, and the client says why': async (c) => {
    for (const command of [PutMsgNo, GetMsgNo]) {
      await rejects(c.call(command, { msgNo: '1' }, undefined), {
        code: 'RMQ_CONFIG',
        field: 'extensions.messageNumbers',
      })
    }
  },
}
