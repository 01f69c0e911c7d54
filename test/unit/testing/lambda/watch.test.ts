/** Functions that are bundled anew and replaced when their sources change. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { startLambda, watchFunctions } from '../../../../src/testing/index.ts'
import { testFolder } from '../../../support/local-lambda.ts'

describe('watching sources', () => {
  it('replaces the functions after a change, and keeps them when bundling fails', async (t) => {
    const folder = await testFolder(t)
    const [sources, bundled] = [join(folder, 'src'), join(folder, 'index.mjs')]
    await mkdir(sources)
    const source = join(sources, 'index.mjs')
    /** In one step, as a half-written file might be bundled in between. */
    const write = async (value: number): Promise<void> => {
      await writeFile(join(folder, 'new.mjs'), `export const handler = async () => ${value}`)
      await rename(join(folder, 'new.mjs'), source)
    }
    await write(1)
    await copyFile(source, bundled)
    await using lambda = await startLambda({ functions: { f: { handler: bundled, timeoutSeconds: 60 } } })
    let fails = false
    const events: (readonly string[] | Error)[] = []
    let wake: (() => void) | undefined
    const tell = (event: unknown): void => {
      events.push(event as Error)
      wake?.()
    }
    const next = async (): Promise<unknown> => {
      if (events.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return events.shift()
    }
    const bundle = async (): Promise<Record<string, string>> => {
      if (fails) throw new Error('no such import')
      await copyFile(source, bundled)
      return { f: bundled }
    }
    await using _watcher = watchFunctions({
      lambda,
      sources: [sources],
      bundle,
      onReplaced: tell,
      onError: tell,
    })
    assert.equal((await lambda.invoke('f')).payload, 1)

    await write(2)
    assert.deepStrictEqual(await next(), ['f'])
    assert.equal((await lambda.invoke('f')).payload, 2)
    fails = true
    await write(3)
    let event = await next()
    // One change may be told in several steps, the last of them late.
    while (Array.isArray(event)) event = await next()
    assert.equal((event as Error).message, 'no such import')
    assert.equal((await lambda.invoke('f')).payload, 2)
  })

  it('refuses a folder that is not there', () => {
    const lambda = { replace: async () => undefined }
    assert.throws(() => watchFunctions({ lambda, sources: ['/none'], bundle: async () => ({}) }), {
      name: 'ConfigError',
      field: 'sources',
    })
  })
})
