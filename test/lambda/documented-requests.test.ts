/** The `curl` lines of the documents, run by curl against the bundled functions in the local Lambda, on the local broker. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { bundleFunction } from '../../scripts/bundle.ts'
import {
  type LocalBroker,
  type LocalFunction,
  type LocalLambda,
  startBroker,
  startLambda,
} from '../../src/testing/index.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)
const page = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Commands of `sh` blocks that begin with curl; a backslash goes on with the next line. */
const curlLines = (text: string): string[] =>
  [...text.matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap(([, block = '']) => block.replaceAll(/\\\n\s*/g, '').split('\n'))
    .filter((line) => line.startsWith('curl '))

interface Answer {
  status: number
  body: Record<string, unknown>
}

describe('the curl lines of', {
  skip: spawnSync('curl', ['--version']).status !== 0 && 'there is no curl',
}, () => {
  let folder: string
  let broker: LocalBroker
  let lambda: LocalLambda

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-requests-'))
    broker = await startBroker({ topics: ['orders'] })
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
      ROCKETMQ_TOPICS: 'orders',
      ROCKETMQ_PRODUCER_GROUP: 'order-api',
      ROCKETMQ_TRANSACTION_SECRET: 'a secret of more than 32 characters',
    }
    const func = async (name: string, ...paths: string[]): Promise<LocalFunction> => ({
      handler: await bundleFunction(name, folder),
      environment,
      timeoutSeconds: 60,
      events: paths.map((path) => ({ httpApi: { method: 'POST', path } })),
    })
    lambda = await startLambda({
      functions: {
        publish: await func('publish', '/topics/{topic}/messages', '/topics/{topic}/transactions'),
        'end-transaction': await func('end-transaction', '/transactions/commit', '/transactions/rollback'),
      },
    })
  })
  after(async () => {
    await lambda?.close()
    await broker?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Runs the lines as they stand, one after the other; `$TRANSACTION` is that of the last answer that had one. */
  const answersTo = async (lines: readonly string[]): Promise<Answer[]> => {
    const answers: Answer[] = []
    for (const line of lines) {
      const begun = answers.findLast(({ body }) => typeof body['transaction'] === 'string')
      const { stdout } = await run('sh', ['-c', `${line} -s -w '\\n%{http_code}'`], {
        env: {
          PATH: process.env['PATH'],
          URL: lambda.httpUrl,
          TRANSACTION: (begun?.body['transaction'] as string | undefined) ?? '',
        },
      })
      const [text = '', status] = stdout.split(/\n(?=\d+$)/)
      answers.push({ status: Number(status), body: JSON.parse(text) as Answer['body'] })
    }
    return answers
  }

  it('docs/publish.md publish, and show the problem that stands below them', async () => {
    const text = page('docs/publish.md')

    const answers = await answersTo(curlLines(text))

    deepStrictEqual(
      answers.map(({ status }) => status),
      [200, 200, 415],
    )
    ok(text.includes(JSON.stringify(answers[2]?.body, undefined, 2)))
  })

  it('docs/transactions.md begin a transaction, commit it, and are refused its rollback', async () => {
    const before = broker.messages('orders').length

    const answers = await answersTo(curlLines(page('docs/transactions.md')))

    deepStrictEqual(
      answers.map(({ status }) => status),
      [201, 200, 409],
    )
    const [begun, committed] = answers
    deepStrictEqual(committed?.body, {
      status: 200,
      outcome: 'committed',
      messageId: begun?.body['messageId'],
      checked: true,
    })
    deepStrictEqual(broker.messages('orders').length, before + 1)
  })
})
