/**
 * How much JSON is parsed. A value of two characters becomes an object of hundreds of bytes: a body of 16 MiB, as large
 * as frames may be, took more than a gigabyte and held up the event loop for seconds.
 */
import { malformed } from './checks.ts'

/** The settings of 10,000 groups, the largest body there is, have 4 MB. */
const MAX_BYTES = 0x50_0000
/** Those have 160,000 values. So many of the smallest, whichever way they are read, take less than 64 MiB. */
const MAX_VALUES = 180_000

/**
 * The text of a document that is small enough to be parsed. Counted is what begins a value or stands before the next one,
 * and the escapes of which a text is put together.
 * @throws ProtocolError naming the limits
 */
export const jsonText = (json: string | Buffer): string => {
  let values = json.length > MAX_BYTES ? Infinity : 0
  const text = values ? '' : json.toString()
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2c || code === 0x5b || code === 0x5c || code === 0x7b) values++ // , [ \ {
  }
  if (values > MAX_VALUES)
    throw malformed('json', `must have at most ${MAX_BYTES} bytes and ${MAX_VALUES} values`)
  return text
}
