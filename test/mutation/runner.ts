/**
 * Runs tests for Stryker, in its own process. The test files are loaded once and their tests called again for each mutant:
 * a process for each file, as Stryker's own runner of `node:test` has it, takes a hundred times as long.
 */

import { globSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { StrykerOptions } from '@stryker-mutator/api/core'
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin'
import {
  type CompleteDryRunResult,
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  type TestRunnerCapabilities,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner'
import { begin, type Collected, collected } from './node-test.ts'

/** What instrumented code reads and writes. */
interface Instruments {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  hitCount?: number | undefined
  hitLimit?: number | undefined
  mutantCoverage?: NonNullable<CompleteDryRunResult['mutantCoverage']>
}

const instruments: Instruments = {}
Object.assign(globalThis, { __stryker__: instruments })

class NodeTestRunner implements TestRunner {
  static inject = tokens(commonTokens.options)
  readonly #patterns: readonly string[]
  #isLoaded = false
  /** What was thrown outside of a test's own promise. */
  #stray: unknown

  constructor(options: StrykerOptions) {
    this.#patterns = (options as unknown as { nodeTest: { files: string[] } }).nodeTest.files
    process.on('unhandledRejection', (error) => {
      this.#stray ??= error
    })
  }

  capabilities(): TestRunnerCapabilities {
    return { reloadEnvironment: false }
  }

  async dryRun(_options: DryRunOptions): Promise<DryRunResult> {
    await this.#load()
    const result = await this.#run(collected, false)
    if (result.status === DryRunStatus.Complete) {
      // The first that fails ends the run of a mutant: the quick ones go first.
      const took = new Map(result.tests.map(({ id, timeSpentMs }) => [id, timeSpentMs]))
      collected.sort((a, b) => (took.get(a.id) ?? 0) - (took.get(b.id) ?? 0))
    }
    return result
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { activeMutant, mutantActivation, hitLimit, testFilter, disableBail } = options
    if (mutantActivation === 'static') instruments.activeMutant = activeMutant.id
    await this.#load()
    Object.assign(instruments, { activeMutant: activeMutant.id, hitLimit, hitCount: hitLimit && 0 })
    const tests = testFilter ? collected.filter(({ id }) => testFilter.includes(id)) : collected
    return toMutantRunResult(await this.#run(tests, !disableBail))
  }

  async #load(): Promise<void> {
    if (this.#isLoaded) return
    this.#isLoaded = true
    const own = pathToFileURL(join(import.meta.dirname, 'node-test.ts')).href
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'node:test' && !context.parentURL?.includes('/node_modules/')
          ? { url: own, shortCircuit: true }
          : next(specifier, context),
    })
    for (const file of this.#patterns.flatMap((pattern) => globSync(pattern).sort())) {
      begin(relative('test', file))
      await import(pathToFileURL(file).href)
    }
  }

  async #run(tests: readonly Collected[], isBail: boolean): Promise<DryRunResult> {
    const results: TestResult[] = []
    for (const test of tests) {
      const result = await this.#runOne(test)
      const timeout = determineHitLimitReached(instruments.hitCount, instruments.hitLimit)
      if (timeout) return timeout
      results.push(result)
      if (isBail && result.status === TestStatus.Failed) break
    }
    const { mutantCoverage } = instruments
    return { status: DryRunStatus.Complete, tests: results, ...(mutantCoverage && { mutantCoverage }) }
  }

  async #runOne({ id, run, before, after }: Collected): Promise<TestResult> {
    const began = performance.now()
    const { mock } = process.getBuiltinModule('node:test')
    const cleanups: (() => unknown)[] = [...after]
    const context = { after: (hook: () => unknown) => cleanups.push(hook), mock, name: id }
    instruments.currentTestId = id
    this.#stray = undefined
    let failure: unknown
    try {
      for (const hook of before) await hook()
      await run(context as never)
    } catch (error) {
      failure = error ?? 'failed'
    }
    for (const cleanup of cleanups.toReversed()) await (async () => await cleanup())().catch(() => undefined)
    mock.reset()
    mock.timers.reset()
    instruments.currentTestId = undefined
    failure ??= this.#stray
    const facts = { id, name: id, timeSpentMs: performance.now() - began }
    return failure === undefined
      ? { ...facts, status: TestStatus.Success }
      : {
          ...facts,
          status: TestStatus.Failed,
          failureMessage: failure instanceof Error ? failure.message : 'no error',
        }
  }
}

export const strykerPlugins: readonly object[] = [
  declareClassPlugin(PluginKind.TestRunner, 'node-test', NodeTestRunner),
]
