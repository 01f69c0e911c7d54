/**
 * The limit: a socket program that knows no RocketMQ. It writes frames that were encoded before the clock started, patches
 * the opaque, the keys (the broker's index takes longer for new ones) and the offset of a pull, finds the end of each answer by its length field, and decodes nothing else. What
 * a client takes more than this is its own doing.
 *
 * Frames that are due at the same moment leave in one writev, as a careful client would do it.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { encodeBatch, encodeFrame, encodeProperties } from '../../src/wire/index.ts'
import { pullHeader, sendHeader } from '../headers.ts'
import { body, job, measure } from './measure.ts'

/** Ten digits, so that any number of them takes the same room. */
const FIRST_OPAQUE = 1_000_000_000
/** Nineteen digits: the zeros in front do not disturb a Java parser. */
const OFFSET = '0000000000000000000'
const SEND_V2 = 310
const SEND_BATCH = 320
const PULL = 11
/** How a header begins when all went well. */
const SUCCESS = Buffer.from('{"code":0,')

/** Stand where each message has a key and an id of its own. */
const KEY = '9876543210'
const ID = 'X'.repeat(32)

interface Template {
  frame: Buffer
  opaqueAt: number
  offsetAt: number
  keysAt: readonly number[]
  idsAt: readonly number[]
}

const placesOf = (text: string, frame: Buffer): number[] => {
  const places: number[] = []
  for (let at = frame.indexOf(text); at >= 0; at = frame.indexOf(text, at + text.length)) places.push(at)
  return places
}

const templateOf = (code: number, ext: Record<string, string>, content?: Buffer): Template => {
  const frame = encodeFrame({ code, opaque: FIRST_OPAQUE, ext, body: content })
  return {
    frame,
    opaqueAt: frame.indexOf(`${FIRST_OPAQUE}`),
    offsetAt: frame.indexOf(OFFSET),
    keysAt: placesOf(KEY, frame),
    idsAt: placesOf(ID, frame),
  }
}

const properties = encodeProperties([
  ['origin', 'bench'],
  ['TAGS', 'bench'],
  ['KEYS', `k-${KEY}`],
  ['UNIQ_KEY', ID],
  ['WAIT', 'true'],
])

const { group, topic } = job
const sendExt = (queueId: number, batch: boolean): Record<string, string> =>
  sendHeader({ group, topic, queueId, properties: batch ? '' : properties, batch })

const pullExt = (queueId: number): Record<string, string> =>
  pullHeader({ group, topic, queueId, offset: OFFSET, maxMessages: 32 })

/** Calls `onAnswer` with the bytes of each frame. */
function readFrames(socket: Socket, onAnswer: (frame: Buffer) => void): void {
  let rest: Buffer | undefined
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk
    if (rest) {
      bytes = Buffer.concat([rest, chunk])
      rest = undefined
    }
    socket.cork()
    let at = 0
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      if (bytes.compare(SUCCESS, 0, SUCCESS.length, at + 8, at + 8 + SUCCESS.length) !== 0)
        throw new Error(bytes.toString('utf8', at + 8, Math.min(end, at + 500)))
      onAnswer(bytes.subarray(at, end))
      at = end
    }
    if (at < bytes.length) rest = bytes.subarray(at)
    socket.uncork()
  })
}

const [host, port] = job.broker.split(':') as [string, string]
const socket = connect(Number(port), host).setNoDelay()
await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
socket.once('close', () => process.exit(1))

let opaque = FIRST_OPAQUE
let key = FIRST_OPAQUE
/** Ids are cut from it at changing places: random ones cost a broker's index more than numbers in a row. */
const random = randomBytes(0x8_0000).toString('hex').toUpperCase()
let idAt = 0
const patch = ({ frame, opaqueAt, keysAt, idsAt }: Template): Buffer => {
  frame.write(`${opaque++}`, opaqueAt, 'latin1')
  for (const at of keysAt) frame.write(`${key++}`, at, 'latin1')
  for (const at of idsAt) {
    idAt = (idAt + 37) % (random.length - ID.length)
    frame.write(random.slice(idAt, idAt + ID.length), at, 'latin1')
  }
  return frame
}

let onAnswer = (_frame: Buffer): void => {}
readFrames(socket, (frame) => onAnswer(frame))

/** Twice as many frames as are in flight, so that none is patched before the kernel has it. */
function sends(): Template[] {
  return Array.from({ length: Math.max(job.queues, job.inFlight) * 2 }, (_, index) => {
    if (job.work === 'send') return templateOf(SEND_V2, sendExt(index % job.queues, false), body)
    const messages = Array.from({ length: job.batchSize }, () => ({ flag: 0, body, properties }))
    return templateOf(SEND_BATCH, sendExt(index % job.queues, true), encodeBatch(messages))
  })
}

function sendAll(templates: Template[], requests: number): Promise<void> {
  let sent = 0
  let answered = 0
  return new Promise((resolve) => {
    const sendNext = (): void => {
      socket.write(patch(templates[sent++ % templates.length] as Template))
    }
    onAnswer = () => {
      answered++
      if (sent < requests) sendNext()
      else if (answered === requests) resolve()
    }
    socket.cork()
    for (let first = Math.min(job.inFlight, requests); first > 0; first--) sendNext()
    socket.uncork()
  })
}

/** More than there are: the same ones again. */
async function pullAll(messages: number): Promise<void> {
  for (let rest = messages; rest > 0; rest -= job.messages) await pullFirst(Math.min(rest, job.messages))
}

/** Each queue has one pull under way; answers say by their opaque which one it was. */
function pullFirst(messages: number): Promise<void> {
  const templates = Array.from({ length: job.queues }, (_, queueId) => templateOf(PULL, pullExt(queueId)))
  const most = messages / job.queues
  let open = job.queues
  return new Promise((resolve) => {
    const byOpaque = new Map<string, Template>()
    const pull = (template: Template, offset: string): void => {
      template.frame.write(offset.padStart(OFFSET.length, '0'), template.offsetAt, 'latin1')
      byOpaque.set(`${opaque}`, template)
      socket.write(patch(template))
    }
    onAnswer = (frame) => {
      const header = frame.toString('latin1', 8, 8 + (frame.readUInt32BE(4) & 0xff_ffff))
      const own = /"opaque":(\d+)/.exec(header)?.[1] ?? ''
      const next = /"nextBeginOffset":"(\d+)"/.exec(header)?.[1] ?? ''
      const template = byOpaque.get(own) as Template
      byOpaque.delete(own)
      if (Number(next) < most) pull(template, next)
      else if (--open === 0) resolve()
    }
    for (const template of templates) pull(template, '0')
  })
}

const isPull = job.work === 'pull' || job.work === 'drain'
const templates = isPull ? [] : sends()
await measure('limit', async (messages) => {
  if (isPull) return pullAll(messages)
  return sendAll(templates, job.work === 'batch' ? messages / job.batchSize : messages)
})
socket.removeAllListeners('close').destroy()
