/**
 * ACL credentials: given once, or by a function that can rotate them. A function's answer is kept until a broker
 * refuses it or it is five minutes old, so that a rotation reaches a warm sandbox without a call per request.
 */
import { AuthError, ConfigError } from '../errors.ts'
import { checkText } from '../wire/checks.ts'
import { sign } from '../wire/signature.ts'
import { createCache } from './cache.ts'
import { type Deadline, notSent } from './deadline.ts'

export interface Credentials {
  accessKey: string
  secretKey: string
  securityToken?: string | undefined
}

/** Credentials, or an async function that returns them. */
export type CredentialsOption = Credentials | (() => Credentials | Promise<Credentials>)

const KEEP_MS = 300_000
/** What errors about it begin with. */
const OPTION = 'credentials()'

export interface CredentialSource {
  /** Forgets credentials that a broker refused; whether asking again may give others. */
  refuse(credentials: Credentials | undefined): boolean
  get(deadline: Deadline): Credentials | undefined | Promise<Credentials>
}

export const createCredentialSource = (option: CredentialsOption | undefined): CredentialSource => {
  const cache = createCache<Credentials>(OPTION, (_, ageMs) => ageMs < KEEP_MS)
  const rotate = typeof option === 'function' ? option : undefined

  const ask = async (): Promise<Credentials> => {
    try {
      return checkCredentials(OPTION, await rotate?.())
    } catch (cause) {
      // Of its own: another's may name any field, one of a message that is being sent, too.
      if (cause instanceof ConfigError && cause.field?.startsWith(OPTION)) throw cause
      throw new AuthError(`${OPTION} failed; see the cause`, '', notSent({ cause }))
    }
  }

  return {
    refuse(credentials) {
      if (credentials) cache.forget('', credentials)
      return !!rotate
    },
    get: (deadline) => (rotate ? cache.get('', deadline, {}, ask) : (option as Credentials | undefined)),
  }
}

/** @throws ConfigError; its text never holds a value, since it may be a secret */
export const checkCredentials = (field: string, value: unknown): Credentials => {
  const given = (value ?? {}) as Credentials
  checkText(`${field}.accessKey`, given.accessKey)
  checkText(`${field}.secretKey`, given.secretKey)
  if (given.securityToken) checkText(`${field}.securityToken`, given.securityToken)
  return given
}

/** Adds AccessKey, SecurityToken and Signature (protocol.md 18.1). Nothing may be added to `ext` afterwards. */
export const signRequest = (
  { accessKey, secretKey, securityToken }: Credentials,
  ext: Record<string, string>,
  body: Uint8Array | undefined,
): void => {
  ext['AccessKey'] = accessKey
  if (securityToken) ext['SecurityToken'] = securityToken
  ext['Signature'] = sign(secretKey, ext, body)
}
