/**
 * ACL credentials: given once, or by a function that can rotate them. A function's answer is kept until a broker
 * refuses it or it is five minutes old, so that a rotation reaches a warm sandbox without a call per request.
 */
import { AuthError, ConfigError } from '../errors.ts'
import { sign } from '../wire/signature.ts'
import type { Deadline } from './deadline.ts'
import { Shared } from './shared.ts'

export interface Credentials {
  accessKey: string
  secretKey: string
  securityToken?: string | undefined
}

/** Credentials, or an async function that returns them. */
export type CredentialsOption = Credentials | (() => Credentials | Promise<Credentials>)

const KEEP_MS = 300_000

export class CredentialSource {
  readonly #option: CredentialsOption | undefined
  #kept: { credentials: Credentials; until: number } | undefined
  #asking: Shared<Credentials> | undefined

  constructor(option: CredentialsOption | undefined) {
    this.#option = option
  }

  /** Whether asking again may give other credentials. */
  get rotates(): boolean {
    return typeof this.#option === 'function'
  }

  /** Forgets credentials that a broker refused, unless another call has replaced them meanwhile. */
  refuse(credentials: Credentials | undefined): void {
    if (this.#kept?.credentials === credentials) this.#kept = undefined
  }

  async get(deadline: Deadline, at: number): Promise<Credentials | undefined> {
    if (typeof this.#option !== 'function') return this.#option
    if (this.#kept && this.#kept.until > Date.now()) return this.#kept.credentials
    const provide = this.#option
    this.#asking ??= new Shared(
      () => this.#ask(provide),
      () => {
        this.#asking = undefined
      },
    )
    return await this.#asking.join(deadline, at, 'the credentials function', { outcome: 'not-sent' })
  }

  async #ask(provide: () => Credentials | Promise<Credentials>): Promise<Credentials> {
    try {
      const credentials = checkCredentials(await provide(), 'credentials()')
      this.#kept = { credentials, until: Date.now() + KEEP_MS }
      return credentials
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      throw new AuthError('the credentials function failed; see the cause', '', {
        outcome: 'not-sent',
        cause,
      })
    }
  }
}

/** @throws ConfigError; its text never holds a value, since it may be a secret */
export function checkCredentials(value: unknown, field: string): Credentials {
  const credentials = value as Partial<Record<keyof Credentials, unknown>> | null | undefined
  for (const name of ['accessKey', 'secretKey'] as const) {
    const part = credentials?.[name]
    if (typeof part !== 'string' || part === '')
      throw new ConfigError(`${field}.${name}`, 'takes a non-empty string')
  }
  const token = credentials?.securityToken
  if (token !== undefined && typeof token !== 'string')
    throw new ConfigError(`${field}.securityToken`, 'takes a string')
  return credentials as Credentials
}

/** Adds AccessKey, SecurityToken and Signature (protocol.md 18.1). Nothing may be added to `ext` afterwards. */
export function signRequest(
  credentials: Credentials,
  ext: Record<string, string>,
  body: Uint8Array | undefined,
): void {
  ext['AccessKey'] = credentials.accessKey
  if (credentials.securityToken) ext['SecurityToken'] = credentials.securityToken
  ext['Signature'] = sign(credentials.secretKey, ext, body)
}
