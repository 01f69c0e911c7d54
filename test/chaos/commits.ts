/**
 * Every offset that a broker was told and has taken, out of what its proxy has recorded: one that goes back and is overwritten soon
 * is seen by nobody who only asks now and then.
 */

import { isResult, meaningOf } from '../../src/commands/define.ts'
import {
  OFFSET_RESET_REMARK,
  PULL_COMMIT_OFFSET,
  PullMessage,
  UpdateConsumerOffset,
} from '../../src/commands/index.ts'
import { LITE_PULL_MESSAGE } from '../../src/commands/request-codes.ts'
import { type Frame, FrameDecoder } from '../../src/wire/index.ts'
import type { Happening, History } from './history.ts'
import { type Direction, type Recorded, readRecordingFile } from './recording.ts'

type Commit = Extract<Happening, { kind: 'commit' }>

/** Adds to the history what a recording has of them. */
export async function noteCommits(
  file: string,
  broker: string,
  history: Pick<History, 'add'>,
): Promise<void> {
  try {
    for (const each of await commitsOf(readRecordingFile(file), broker)) history.add(each)
  } catch (error) {
    // What nobody can read may hold anything.
    history.add({ kind: 'crash', at: Date.now(), name: `recording of ${broker}`, line: String(error) })
  }
}

/** In the order in which they were asked for. */
export async function commitsOf(recording: AsyncIterable<Recorded>, broker: string): Promise<Commit[]> {
  const asked: { commit: Commit; isTaken: boolean }[] = []
  const open = new Map<string, (typeof asked)[number] & { code: number }>()
  const decoders = new Map<string, FrameDecoder>()
  const onFrame = (frame: Frame, direction: Direction, connection: number, at: number): void => {
    const call = `${connection} ${frame.opaque}`
    if (direction === 'request') {
      const commit = commitIn(frame, broker, at)
      if (!commit) return
      const entry = { commit, isTaken: false, code: frame.code }
      asked.push(entry)
      open.set(call, entry)
      return
    }
    const entry = open.get(call)
    if (!entry) return
    open.delete(call)
    entry.isTaken = isTaken(entry.code, frame)
    entry.commit.answeredAt = at
  }
  for await (const { connection, direction, at, bytes } of recording) {
    const stream = `${connection} ${direction}`
    const decoder = decoders.get(stream) ?? new FrameDecoder()
    decoders.set(stream, decoder)
    decoder.push(bytes, (frame) => onFrame(frame, direction, connection, at))
  }
  return asked.filter((each) => each.isTaken).map(({ commit }) => commit)
}

/** Pulls may commit what was read before them. */
const PULLS: readonly number[] = [PullMessage.code, LITE_PULL_MESSAGE]

function commitIn({ code, ext }: Frame, broker: string, at: number): Commit | undefined {
  const isPull = PULLS.includes(code) && (Number(ext['sysFlag']) & PULL_COMMIT_OFFSET) !== 0
  if (code !== UpdateConsumerOffset.code && !isPull) return undefined
  const { consumerGroup: group = '', topic, queueId, commitOffset: offset = '' } = ext
  return { kind: 'commit', at, answeredAt: at, group, queue: `${topic}/${broker}/${queueId}`, offset }
}

/** A pull commits first, whatever it finds; an offset that an administrator has set stays. */
function isTaken(asked: number, { code, remark }: Frame): boolean {
  if (PULLS.includes(asked)) return isResult(meaningOf(PullMessage, code))
  return code === 0 && remark !== OFFSET_RESET_REMARK
}
