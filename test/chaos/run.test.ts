/** What `npm run chaos -- --judge` prints of a history. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { writeHistory } from './history.ts'

it('tells the commit of the run and that of the judge, and fails when something has no cause', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'run-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'history.jsonl')
  const history = writeHistory(file)
  history.add({ kind: 'run', seed: 1, at: 1, minutes: 1, everyMs: 1, commit: 'abc1234', settings: '{}' })
  history.add({ kind: 'stored', at: 2, messageId: 'id', key: 'k', n: 0 })
  await history.close()

  const { status, stdout } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'run.ts'), '--judge', file],
    {
      encoding: 'utf8',
    },
  )

  const lines = stdout.split('\n')
  assert.match(lines[0] ?? '', /^run at commit abc1234, judged at commit [0-9a-f]{7,}( with changes)?$/)
  assert.deepStrictEqual(
    [status, lines.find((each) => each.includes('VIOLATION'))],
    [1, '  VIOLATION missing: id was acknowledged and is in no queue'],
  )
})
