/** In the place of `node:test` while mutants are tested: tests are collected, for a runner that runs them many times. */
import type { TestContext } from 'node:test'

type Run = (context: TestContext) => unknown

export interface Collected {
  /** The file and the names of what it stands in. */
  id: string
  run: Run
  before: readonly (() => unknown)[]
  after: readonly (() => unknown)[]
}

export const collected: Collected[] = []

let path: string[] = []
let hooks: { before: (() => unknown)[]; after: (() => unknown)[] } = { before: [], after: [] }

/** What is collected from now on stands in this file. */
export function begin(file: string): void {
  path = [file]
  hooks = { before: [], after: [] }
}

export function test(name: string, ...rest: readonly unknown[]): void {
  const run = rest.at(-1) as Run
  collected.push({ id: [...path, name].join(' > '), run, ...hooks })
}

export function describe(name: string, ...rest: readonly unknown[]): void {
  const outer = { path, hooks }
  path = [...path, name]
  hooks = { before: [...hooks.before], after: [...hooks.after] }
  ;(rest.at(-1) as () => void)()
  ;({ path, hooks } = outer)
}

export const it: typeof test = test
export const before = (hook: () => unknown): void => void hooks.before.push(hook)
export const after = (hook: () => unknown): void => void hooks.after.push(hook)
