/** What of a recording is an offset that a broker has taken. */
import assert from 'node:assert/strict'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { OFFSET_RESET_REMARK } from '../../src/commands/index.ts'
import { encodeFrame, FLAG_RESPONSE } from '../../src/wire/index.ts'
import { commitsOf, noteCommits } from './commits.ts'
import type { Happening } from './history.ts'
import { type Recorded, record } from './recording.ts'

/** A piece of the stream of one connection. */
const piece = (direction: Recorded['direction'], at: number, bytes: Buffer, connection = 1): Recorded => ({
  at,
  connection,
  direction,
  bytes,
})
const COMMIT = 15
const request = (
  opaque: number,
  at: number,
  commitOffset: number,
  more: object = {},
  code = COMMIT,
): Recorded =>
  piece(
    'request',
    at,
    encodeFrame({
      code,
      opaque,
      ext: {
        consumerGroup: 'chaos-block',
        topic: 'orders',
        queueId: '2',
        commitOffset: `${commitOffset}`,
        ...more,
      },
    }),
  )
const answer = (opaque: number, at: number, code = 0, remark?: string): Recorded =>
  piece(
    'answer',
    at,
    encodeFrame({ code, opaque, flag: FLAG_RESPONSE, ...(remark === undefined ? {} : { remark }) }),
  )

async function* each(pieces: readonly Recorded[]): AsyncGenerator<Recorded> {
  yield* pieces
}
const found = async (...pieces: Recorded[]): Promise<string[]> =>
  (await commitsOf(each(pieces), 'broker-a')).map(
    ({ at, answeredAt, group, queue, offset }) => `${group} ${queue} ${offset} ${at}-${answeredAt}`,
  )

it('finds what was answered with success, in the order in which it was asked for', async () => {
  const commits = await found(
    request(1, 10, 5),
    request(2, 11, 4),
    request(3, 12, 7),
    answer(2, 13),
    answer(1, 14),
  )

  assert.deepStrictEqual(commits, [
    'chaos-block orders/broker-a/2 5 10-14',
    'chaos-block orders/broker-a/2 4 11-13',
  ])
})

it('finds what a pull commits before it reads, and no other pull', async () => {
  const pull = (opaque: number, sysFlag: number, code = 11): Recorded =>
    request(opaque, 10 + opaque, opaque, { sysFlag: `${sysFlag}` }, code)
  const commits = await found(
    ...[pull(1, 5), pull(2, 4), pull(3, 1, 361), pull(4, 1)],
    ...[answer(1, 21, 19), answer(2, 22), answer(3, 23, 21), answer(4, 24, 26)],
  )

  assert.deepStrictEqual(commits, [
    'chaos-block orders/broker-a/2 1 11-21',
    'chaos-block orders/broker-a/2 3 13-23',
  ])
})

it('finds nothing that was refused, or passed over for the word of an administrator', async () => {
  assert.deepStrictEqual(
    await found(
      request(1, 10, 5),
      request(2, 11, 6),
      answer(1, 12, 26),
      answer(2, 13, 0, OFFSET_RESET_REMARK),
    ),
    [],
  )
})

it('takes answers of another connection for what they are, and frames in pieces', async () => {
  const bytes = request(1, 10, 5).bytes
  const commits = await found(
    piece('request', 10, bytes.subarray(0, 9)),
    piece('answer', 11, answer(1, 11).bytes, 2),
    piece('request', 12, bytes.subarray(9)),
    answer(1, 13),
  )

  assert.deepStrictEqual(commits, ['chaos-block orders/broker-a/2 5 12-13'])
})

it('reads a file piece by piece, without what was cut off, and tells when nobody can read it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'commits-'))
  t.after(() => rm(folder, { recursive: true }))
  const noted = async (name: string, ...pieces: Recorded[]): Promise<Happening[]> => {
    const file = join(folder, name)
    const stream = createWriteStream(file)
    for (const { connection, direction, bytes } of pieces) record(stream, connection)(direction, bytes)
    await new Promise((resolve) => stream.end(resolve))
    if (name === 'cut') await truncate(file, stream.bytesWritten - 1)
    const all: Happening[] = []
    await noteCommits(file, 'broker-a', { add: (happening) => all.push(happening) })
    return all
  }
  const large = piece('answer', 0, encodeFrame({ code: 0, opaque: 9, body: Buffer.alloc(3 << 20) }))

  const whole = await noted('whole', request(1, 0, 5), large, answer(1, 0), request(2, 0, 6), answer(2, 0))
  const cut = await noted('cut', request(1, 0, 5), answer(1, 0), request(2, 0, 6), answer(2, 0))
  const wrong = await noted('wrong', piece('request', 0, Buffer.alloc(8)))

  const kinds = [whole, cut, wrong].map((all) => all.map(({ kind }) => kind))
  assert.deepStrictEqual(kinds, [['commit', 'commit'], ['commit'], ['crash']])
})
