/**
 * A function of the local Lambda that worked for longer than 5 s without a pause, or was stopped for so long, ended with
 * `Runtime exited with error: exit status 1` when it wanted to answer: its connection to the Runtime API had been closed
 * for being idle, which it could not see.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { localLambda } from '../support/local-lambda.ts'

/** Longer than Node's servers keep connections that nobody uses: 5 s, and one more. */
const BUSY_MS = 7_000
const BUSY = `export const handler = async () => {
  for (const end = Date.now() + ${BUSY_MS}; Date.now() < end; );
  return 'done'
}`

it('a function that works without a pause for longer than idle connections are kept can answer', async (t) => {
  const lambda = await localLambda(t, { busy: BUSY })

  const { payload, functionError } = await lambda.invoke('busy')

  deepStrictEqual([payload, functionError], ['done', undefined])
})
