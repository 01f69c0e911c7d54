/** What a proxy has seen: every byte of both directions, with its time and connection, in a file. */
import { createReadStream, type WriteStream } from 'node:fs'

/** at (double), connection, direction, length. */
const RECORD_BYTES = 8 + 4 + 1 + 4
const READ_BYTES = 1 << 20

export type Direction = 'request' | 'answer'

/** Bytes as they came, before anything was done to them. */
export function record(
  recording: WriteStream,
  connection: number,
): (direction: Direction, bytes: Buffer) => void {
  return (direction, bytes) => {
    const head = Buffer.alloc(RECORD_BYTES)
    head.writeDoubleBE(Date.now(), 0)
    head.writeUInt32BE(connection, 8)
    head.writeUInt8(direction === 'request' ? 0 : 1, 12)
    head.writeUInt32BE(bytes.length, 13)
    recording.write(head)
    recording.write(bytes)
  }
}

/** A piece of a recording. */
export interface Recorded {
  at: number
  connection: number
  direction: Direction
  bytes: Buffer
}

/** What a recording holds; a last piece that was cut off is left out. */
export function readRecording(recording: Buffer): Recorded[] {
  const pieces: Recorded[] = []
  for (let at = 0; at + RECORD_BYTES <= recording.length; ) {
    const length = recording.readUInt32BE(at + 13)
    const from = at + RECORD_BYTES
    if (from + length > recording.length) break
    pieces.push({
      at: recording.readDoubleBE(at),
      connection: recording.readUInt32BE(at + 8),
      direction: recording.readUInt8(at + 12) === 0 ? 'request' : 'answer',
      bytes: recording.subarray(from, from + length),
    })
    at = from + length
  }
  return pieces
}

/** The same of a file, a megabyte at a time: a recording may be larger than what one has of memory. */
export async function* readRecordingFile(file: string): AsyncGenerator<Recorded> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const bytes of createReadStream(file, { highWaterMark: READ_BYTES })) {
    rest = Buffer.concat([rest, bytes as Buffer])
    const pieces = readRecording(rest)
    yield* pieces
    rest = rest.subarray(pieces.reduce((sum, each) => sum + RECORD_BYTES + each.bytes.length, 0))
  }
}
