import { deepStrictEqual, ok } from 'node:assert/strict'
import { dirname } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { catalogue } from '../../../src/commands/catalogue.ts'

const resolveDir = dirname(fileURLToPath(new URL('../../../src/commands/index.ts', import.meta.url)))

/** What a function's bundle holds that uses this one statement. */
async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    minify: true,
    logLevel: 'silent',
  })
  return outputFiles.map((file) => file.text).join('')
}

const namesIn = (code: string): string[] =>
  [...catalogue.values()].map((command) => command.name).filter((name) => code.includes(`"${name}"`))

describe('a bundle', () => {
  for (const [constant, name] of [
    ['PullMessage', 'PULL_MESSAGE'],
    ['UpdateConsumerOffset', 'UPDATE_CONSUMER_OFFSET'],
    ['LockBatchMQ', 'LOCK_BATCH_MQ'],
    ['GetRouteInfoByTopic', 'GET_ROUTEINFO_BY_TOPIC'],
    ['SendMessageV2', 'SEND_MESSAGE_V2'],
  ]) {
    it(`with ${constant} holds no other command`, async () => {
      const code = await bundle(`import { ${constant} } from './index.ts'\nconsole.log(${constant})`)
      deepStrictEqual(namesIn(code), [name])
    })
  }

  it('with nothing of the commands holds nothing of them', async () => {
    const code = await bundle(
      `import './index.ts'\nimport { catalogue } from './index.ts'\nconsole.log(typeof 1)`,
    )
    ok(code.length < 40, code)
  })

  it('with one code holds the number and no table', async () => {
    const code = await bundle(
      `import * as RequestCode from './request-codes.ts'\nconsole.log(RequestCode.PULL_MESSAGE)`,
    )
    ok(code.includes('console.log(11)') && code.length < 60, code)
  })

  it('with the catalogue holds every command', async () => {
    const code = await bundle(`import { catalogue } from './index.ts'\nconsole.log(catalogue)`)
    deepStrictEqual(namesIn(code).length, catalogue.size)
  })
})
