/** The workflows in .github: what they run is pinned, and each job may do only what it needs. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../..')
const paths = globSync('.github/workflows/*.yml', { cwd: root }).toSorted()

interface Job {
  permissions?: Record<string, string>
  environment?: string
  needs?: string
  steps: { uses?: string; run?: string; with?: Record<string, unknown> }[]
}

interface Workflow {
  permissions: Record<string, string>
  jobs: Record<string, Job>
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const workflow = (path: string): Workflow => parse(read(path)) as Workflow

describe('the workflows', () => {
  it('use actions by commits, with the version beside them', () => {
    const uses = paths.flatMap((path) => [...read(path).matchAll(/uses: (.*)/g)].map(([, text = '']) => text))

    ok(uses.length > 0)
    deepStrictEqual(
      uses.filter((text) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(text)),
      [],
    )
  })

  it('may read only, but for publishing and the notes of a release', () => {
    const granted = paths.flatMap((path) => {
      const { permissions, jobs } = workflow(path)
      return Object.entries(jobs).map(([name, job]) => [name, job.permissions ?? permissions])
    })

    deepStrictEqual(Object.fromEntries(granted), {
      all: { contents: 'read' },
      check: { contents: 'read' },
      publish: { contents: 'read', 'id-token': 'write' },
      notes: { contents: 'write' },
    })
  })

  it('keep no secret and leave no credentials in a checkout', () => {
    const texts = paths.map(read).join('\n')
    const checkouts = paths.flatMap((path) =>
      Object.values(workflow(path).jobs).flatMap(({ steps }) =>
        steps.filter(({ uses }) => uses?.startsWith('actions/checkout@')),
      ),
    )

    ok(!texts.includes('secrets.'))
    deepStrictEqual(
      checkouts.map((step) => step.with?.['persist-credentials']),
      checkouts.map(() => false),
    )
  })

  it('publish with provenance, after everything in .ci/run, where no script of a dependency runs', () => {
    const { check, publish, notes } = workflow('.github/workflows/release.yml').jobs
    const runs = (job: Job | undefined): string[] => (job?.steps ?? []).flatMap(({ run }) => run ?? [])

    ok(runs(check).includes('.ci/run'))
    deepStrictEqual([publish?.needs, publish?.environment, notes?.needs], ['check', 'npm', 'publish'])
    deepStrictEqual(runs(publish), [
      'npm ci --ignore-scripts',
      'npm run build',
      'npm pkg set "repository=git+$GITHUB_SERVER_URL/$GITHUB_REPOSITORY.git"',
      'npm publish --access public --provenance',
    ])
  })
})
