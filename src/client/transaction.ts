/**
 * The value that stands for a transaction while it goes from function to function: plain JSON, or with a secret the same
 * as signed text that can pass through hands that are not trusted. It says where the half message is, and nothing else.
 */
import { checkInt, checkObject, checkText, refuse } from '../wire/checks.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import { type Check, checkKeys } from './options.ts'
import { ExpiredError, type Seal } from './seal.ts'

/** A transaction that was begun; plain JSON. Its members are for reading: `end` refuses what does not fit. */
export interface Transaction {
  readonly version: 1
  readonly producerGroup: string
  readonly topic: string
  /** UNIQ_KEY of the message: what the resolver of checks finds the work by. */
  readonly messageId: string
  readonly brokerName: string
  /** Where the half message stands; decimal. */
  readonly queueOffset: string
  readonly commitLogOffset: string
  /** Epoch ms. */
  readonly begunAt: number
}

const VERSION = 1
/** Signed with the text, so that no signature that the secret made for something else fits. */
const PURPOSE = 'rocketmq-lambda transaction 1.'
/** Longer than any that was given out. */
const MOST_TEXT = 2_048

const CHECKS: { readonly [K in keyof Transaction]: Check<Transaction[K]> } = {
  version: (given, field) => checkInt(field, given, VERSION, VERSION) as 1,
  producerGroup: checkGroupName,
  topic: checkTopicName,
  messageId: (given, field) => checkText(field, given),
  brokerName: (given, field) => checkText(field, given),
  queueOffset: (given, field) => checkOffset(given, field),
  commitLogOffset: (given, field) => checkOffset(given, field),
  begunAt: (given, field) => checkInt(field, given, 0, 2 ** 53 - 1),
}

const checkOffset: Check<string> = (given, field) =>
  /^\d{1,19}$/.test(checkText(field, given)) && BigInt(given as string) < 1n << 63n
    ? (given as string)
    : refuse(field, 'takes an offset in decimal digits')

/** @throws ConfigError naming the member that is wrong */
const checkTransaction = (given: unknown): Transaction => {
  const value = checkObject('transaction', given) as Transaction
  checkKeys('a transaction', value, Object.keys(CHECKS))
  for (const name of Object.keys(CHECKS) as (keyof Transaction)[])
    CHECKS[name](value[name], `transaction.${name}`)
  return value
}

const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto')

const signatureOf = (secret: string, payload: string): string =>
  crypto()
    .createHmac('sha256', secret)
    .update(PURPOSE + payload)
    .digest('base64url')

/** The transaction as text: `1.payload.signature`. */
export const sealTransaction = ({ secrets }: Seal, transaction: Transaction): string => {
  const payload = Buffer.from(JSON.stringify(transaction)).toString('base64url')
  return `${VERSION}.${payload}.${signatureOf(secrets[0] as string, payload)}`
}

/** @throws ConfigError for text that is none, or was altered, or has expired */
const unsealTransaction = ({ secrets, maxAgeMs }: Seal, given: unknown): Transaction => {
  const text = checkText('transaction', given)
  if (/^\d{1,4}\./.test(text) && !text.startsWith(`${VERSION}.`))
    refuse('transaction', `is of another version than ${VERSION}`)
  const [, payload = '', signature = ''] =
    (text.length <= MOST_TEXT && /^1\.([\w-]+)\.([\w-]{43})$/.exec(text)) || []
  const own = Buffer.from(signature)
  // Each of them is compared, and each in full: the time it takes says nothing of how much was right. As text, because the
  // last digit has two bits to which no byte belongs.
  const fits = secrets.map(
    (secret) => own.length === 43 && crypto().timingSafeEqual(own, Buffer.from(signatureOf(secret, payload))),
  )
  if (!fits.includes(true)) refuse('transaction', 'is altered, or signed with another secret')
  const transaction = checkTransaction(JSON.parse(Buffer.from(payload, 'base64url').toString()))
  const ageMs = Date.now() - transaction.begunAt
  if (ageMs > maxAgeMs) throw new ExpiredError('transaction', `has expired: it was begun ${ageMs} ms ago`)
  return transaction
}

/** What `end` was given, as a transaction of the group. @throws ConfigError naming what is wrong with it */
export const readTransaction = (
  seal: Seal | undefined,
  producerGroup: string,
  given: unknown,
): Transaction => {
  const transaction = seal ? unsealTransaction(seal, given) : checkTransaction(given)
  if (transaction.producerGroup !== producerGroup)
    refuse('transaction.producerGroup', `is another one than ${producerGroup}`)
  return transaction
}
