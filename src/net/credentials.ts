/**
 * ACL credentials: given once, or by a function that can rotate them. A function's answer is kept until a broker
 * refuses it or it is five minutes old, so that a rotation reaches a warm sandbox without a call per request.
 */
import { AuthError, ConfigError } from '../errors.ts'
import { checkText } from '../wire/checks.ts'
import { sign } from '../wire/signature.ts'
import { type Deadline, notSent } from './deadline.ts'
import { createShared } from './shared.ts'

export interface Credentials {
  accessKey: string
  secretKey: string
  securityToken?: string | undefined
}

/** Credentials, or an async function that returns them. */
export type CredentialsOption = Credentials | (() => Credentials | Promise<Credentials>)

const KEEP_MS = 300_000

export interface CredentialSource {
  /** Whether asking again may give other credentials. */
  readonly rotates: boolean
  /** Forgets credentials that a broker refused, unless another call has replaced them meanwhile. */
  refuse(credentials: Credentials): void
  get(deadline: Deadline, at: number): Promise<Credentials | undefined>
}

export function createCredentialSource(option: CredentialsOption | undefined): CredentialSource {
  const asking = createShared<Credentials>()
  let kept: Credentials | undefined
  let keptUntil = 0
  const rotates = typeof option === 'function'

  const ask = async (): Promise<Credentials> => {
    try {
      kept = checkCredentials(await (option as () => Promise<Credentials>)(), 'credentials()')
      keptUntil = Date.now() + KEEP_MS
      return kept
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      throw new AuthError('the credentials function failed; see the cause', '', notSent({ cause }))
    }
  }

  return {
    rotates,
    refuse(credentials) {
      if (kept === credentials) kept = undefined
    },
    async get(deadline, at) {
      if (!rotates) return option
      if (kept && keptUntil > Date.now()) return kept
      return await asking.join('', ask, deadline, at, 'the credentials function', notSent())
    },
  }
}

/** @throws ConfigError; its text never holds a value, since it may be a secret */
export function checkCredentials(value: unknown, field: string): Credentials {
  const { accessKey, secretKey, securityToken } = (value ?? {}) as Partial<Record<keyof Credentials, unknown>>
  checkText(`${field}.accessKey`, accessKey)
  checkText(`${field}.secretKey`, secretKey)
  if (securityToken !== undefined && securityToken !== '') checkText(`${field}.securityToken`, securityToken)
  return value as Credentials
}

/** Adds AccessKey, SecurityToken and Signature (protocol.md 18.1). Nothing may be added to `ext` afterwards. */
export function signRequest(
  credentials: Credentials,
  ext: Record<string, string>,
  body: Uint8Array | undefined,
): void {
  const { accessKey, secretKey, securityToken } = credentials
  ext['AccessKey'] = accessKey
  if (securityToken) ext['SecurityToken'] = securityToken
  ext['Signature'] = sign(secretKey, ext, body)
}
