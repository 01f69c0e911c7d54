/** How an input of the fuzzer becomes another one: by its bytes, as a JSON document, or as a frame. */
import { decodeFrame, encodeFrame, encodeFrameBinary, type Frame } from '../../src/wire/index.ts'
import type { Random } from './random.ts'

/** Values that break decoders: the edges of each width. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** One to four changes: bits, bytes, integers at the edges, cuts, inserts, parts of another input. */
export function mutateBytes(source: Buffer, other: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(source)
  for (let times = 1 + random.below(4); times > 0; times--) {
    const at = random.below(bytes.length + 1)
    switch (random.below(7)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = random.below(256)
        break
      case 2:
        if (at + 4 <= bytes.length) bytes.writeUInt32BE(random.pick(EDGES), at)
        break
      case 3:
        if (at + 4 <= bytes.length) bytes.writeInt32BE((bytes.readInt32BE(at) + random.below(9) - 4) | 0, at)
        break
      case 4:
        bytes = bytes.subarray(0, at)
        break
      case 5:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          other.subarray(0, random.below(64)),
          bytes.subarray(at),
        ])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.below(16))])
    }
  }
  return bytes
}

/** What JSON can hold and a program may not expect. */
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  '',
  ' ',
  '0',
  '-1',
  '9223372036854775807',
  '9223372036854775808',
  'NaN',
  '__proto__',
  'constructor',
  '\u0000',
  '\u0001\u0002',
  '\ud800',
  '%RETRY%%DLQ%',
  '127.0.0.1:0',
  '[::]:70000',
  'x'.repeat(500),
  [],
  {},
  [[[]]],
  [null],
]
const KEYS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then', 'toJSON', 'length', '', '0']

type Node = Record<string, unknown> | unknown[]

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null

/** Every list and object of a document. */
function nodesOf(value: unknown, found: Node[] = []): Node[] {
  if (!isNode(value) || found.length > 200) return found
  found.push(value)
  for (const member of Object.values(value)) nodesOf(member, found)
  return found
}

/** `__proto__` as a member like any other. */
const setMember = (node: object, name: string, value: unknown): void =>
  void Object.defineProperty(node, name, { value, configurable: true, enumerable: true, writable: true })

const parse = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

/** Parts of the documents that inputs are made of, which are the same each time; they are not changed. */
const partsOf = new WeakMap<Buffer, readonly Node[]>()

function donorsFrom(seed: Buffer): readonly Node[] {
  const known = partsOf.get(seed) ?? nodesOf(parse(seed))
  partsOf.set(seed, known)
  return known
}

/** A document nested so deeply that a recursive reader ends. */
const deep = (random: Random): string => {
  const levels = 1 + random.below(5_000)
  return random.below(2)
    ? '['.repeat(levels) + ']'.repeat(levels)
    : `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
}

function valueFrom(other: Buffer, random: Random): unknown {
  const nodes = random.below(4) === 0 ? donorsFrom(other) : []
  // A copy: lists among the values would grow from input to input.
  const value = nodes.length > 0 ? random.pick(nodes) : random.pick(VALUES)
  return isNode(value) ? structuredCopy(value) : value
}

const structuredCopy = (value: Node): unknown => JSON.parse(JSON.stringify(value))

/** One to three members changed, taken away, added or renamed; undefined for what is no JSON. */
export function mutateJson(source: Buffer, other: Buffer, random: Random): Buffer | undefined {
  const root = parse(source)
  if (!isNode(root)) return undefined
  let nested = ''
  for (let times = 1 + random.below(3); times > 0; times--) {
    const node = random.pick(nodesOf(root)) as Record<string, unknown>
    const names = Object.keys(node)
    const name = names.length > 0 ? random.pick(names) : '0'
    switch (random.below(12)) {
      case 0:
        if (Array.isArray(node)) node.splice(Number(name), 1)
        else delete node[name]
        break
      case 1:
        setMember(
          node,
          Array.isArray(node) ? String(node.length) : random.pick(KEYS),
          valueFrom(other, random),
        )
        break
      case 2:
        if (Array.isArray(node)) break
        setMember(node, random.pick(KEYS), node[name])
        delete node[name]
        break
      case 3:
        if (random.below(8) > 0) break
        nested = deep(random)
        setMember(node, name, '@nested@')
        break
      case 4:
        if (typeof node[name] === 'string') setMember(node, name, mutateText(node[name], random))
        break
      default:
        setMember(node, name, valueFrom(other, random))
    }
  }
  return Buffer.from(JSON.stringify(root).replace('"@nested@"', nested || '0'))
}

const mutateText = (text: string, random: Random): string =>
  mutateBytes(Buffer.from(text), Buffer.from(random.pick(KEYS)), random).toString()

/** Fields, code and body of a frame changed; the whole of it stays a frame. */
export function mutateFrame(source: Buffer, other: Buffer, random: Random): Buffer {
  const frame: Frame = decodeFrame(source.subarray(4))
  const ext = frame.ext as Record<string, string>
  let isChanged = false
  for (let times = 1 + random.below(3); times > 0; times--) {
    const names = Object.keys(ext)
    const name = names.length > 0 && random.below(8) > 0 ? random.pick(names) : random.pick(KEYS)
    switch (random.below(6)) {
      case 0:
        delete ext[name]
        break
      case 1:
        ext[name] = mutateText(ext[name] ?? '1', random)
        break
      case 2:
        ext[name] = String(random.pick(VALUES))
        break
      case 3:
        frame.code = random.pick([0, 1, 2, 10, 11, 17, 19, 20, 21, 22, 206, -1, 1500])
        break
      default:
        frame.body =
          // Once: a document nested in a nested one may be too deep to be written here.
          (isChanged ? undefined : mutateJson(frame.body, other, random)) ??
          mutateBytes(
            frame.body.length > 0 || random.below(2) ? frame.body : Buffer.from('{}'),
            other,
            random,
          )
        isChanged = true
    }
  }
  const encode = random.below(2) ? encodeFrame : encodeFrameBinary
  try {
    return Buffer.from(encode(frame))
  } catch {
    return Buffer.from(encodeFrame({ code: frame.code, opaque: 1, flag: 1, body: frame.body }))
  }
}
