/** What `doctor` is asked, and what it finds. */
import type { ConnectionOptions } from '../connection.ts'

/** The functions of this package. */
export const FUNCTIONS = ['publish', 'consume', 'dispatch', 'end-transaction', 'check-transactions'] as const
export type FunctionName = (typeof FUNCTIONS)[number]

export interface DoctorOptions extends ConnectionOptions {
  function?: FunctionName
  topic?: readonly string[]
  group?: string
  /** Milliseconds, as all times. */
  window: number
  every: number
}

export interface Finding {
  check: string
  status: 'ok' | 'warn' | 'fail'
  text: string
  fix?: string
}

export const ok = (check: string, text: string): Finding => ({ check, status: 'ok', text })
export const warn = (check: string, text: string, fix: string): Finding => ({
  check,
  status: 'warn',
  text,
  fix,
})
export const fail = (check: string, text: string, fix: string): Finding => ({
  check,
  status: 'fail',
  text,
  fix,
})
