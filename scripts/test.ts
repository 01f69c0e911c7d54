/**
 * `npm test`: every test with Node's own runner, in one report.
 *
 * Fast tests run side by side first; then those that start a real broker, two files at a time; then those that wait for
 * freezes and leases or measure out an invocation's time, and those of the command line, alone. Each file runs in a
 * process of its own. The events of the phases go to one spec reporter, with the counts of all phases in its closing
 * lines.
 */
import { globSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { type EventData, run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'

const HELP = `npm test [-- [options] [folder or file …]]

  npm test                         everything
  npm test -- unit                 one folder of test/ (unit, property, types, issues, conformance, interop, delivery, reliability, lambda, cli, deploy)
  npm test -- test/unit/wire       a folder or a file by its path

  --test-name-pattern <regex>      only tests whose name matches; may be repeated
  --test-only                      only tests marked with { only: true }
  --help
`

const ROOT = join(import.meta.dirname, '..')
/** So much of why a test has failed is told at the end. */
const REASON_CHARACTERS = 500
/** A file that hangs fails after this. */
const FILE_TIMEOUT_MS = 600_000

interface Phase {
  /** Folders of test/; the first phase also has the files of test/ itself. */
  folders: readonly string[]
  concurrency: number
}

/** A folder that is named nowhere runs with the fast ones. */
const SLOW: readonly Phase[] = [
  { folders: ['conformance', 'interop'], concurrency: 2 },
  // Alone: what it cuts off must end within half a second.
  { folders: ['delivery'], concurrency: 1 },
  // Mostly they wait for servers.
  { folders: ['reliability'], concurrency: 2 },
  { folders: ['lambda', 'cli', 'deploy'], concurrency: 1 },
]

/** The runner's closing lines, in its order. */
const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms']
const CLOSING_LINE = new RegExp(`^(${COUNTS.join('|')}) ([\\d.]+)$`)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'test-name-pattern': { type: 'string', multiple: true, default: [] },
    'test-only': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(HELP)
else main()

function main(): void {
  const files = positionals.length > 0 ? positionals.flatMap(selected) : testFiles(join(ROOT, 'test'))
  const phases = [{ folders: [], concurrency: availableParallelism() }, ...SLOW].map(
    ({ folders, concurrency }) => ({
      files: files.filter((file) => isIn(file, folders)),
      concurrency,
    }),
  )
  Readable.from(events(phases.filter((phase) => phase.files.length > 0)))
    .pipe(new spec())
    .pipe(process.stdout)
}

/** Whether the file belongs to the phase with these folders; the one without folders takes what no other names. */
function isIn(file: string, folders: readonly string[]): boolean {
  const folder = relative(join(ROOT, 'test'), file).split('/')[0] ?? ''
  return folders.length > 0 ? folders.includes(folder) : !SLOW.some((phase) => phase.folders.includes(folder))
}

function testFiles(folder: string): string[] {
  return globSync('**/*.test.ts', { cwd: folder })
    .map((file) => join(folder, file))
    .sort()
}

/** A path, or a folder of test/. */
function selected(name: string): string[] {
  for (const path of [join(process.cwd(), name), join(ROOT, name), join(ROOT, 'test', name)]) {
    const stats = statSync(path, { throwIfNoEntry: false })
    const files = stats?.isDirectory() ? testFiles(path) : stats ? [path] : []
    if (files.length > 0) return files
  }
  console.error(`No tests at ${name}`)
  process.exit(2)
}

/**
 * The events of all phases, one after the other; their closing lines are held back and added up. What has failed is told behind
 * them once more, a line each: of a long run often the end is all that is kept.
 */
async function* events(phases: readonly { files: string[]; concurrency: number }[]): AsyncGenerator<object> {
  const patterns = values['test-name-pattern']
  const counts = new Map(COUNTS.map((name) => [name, 0]))
  const failed: string[] = []
  let hasMatched = patterns.length === 0
  for (const { files, concurrency } of phases) {
    const stream = run({
      files,
      concurrency,
      timeout: FILE_TIMEOUT_MS,
      only: values['test-only'],
      testNamePatterns: patterns.map((pattern) => new RegExp(pattern)),
    })
    for await (const event of stream) {
      // A file in which none does is told as a test that passed.
      if (event.type === 'test:pass') hasMatched ||= event.data.name !== event.data.file
      if (event.type === 'test:fail' && event.data.todo === undefined) {
        process.exitCode = 1
        failed.push(...failureOf(event.data))
      }
      const closing = event.type === 'test:diagnostic' ? CLOSING_LINE.exec(event.data.message) : null
      if (closing?.[1] === undefined || event.data.file !== undefined) yield event
      else counts.set(closing[1], (counts.get(closing[1]) ?? 0) + Number(closing[2]))
    }
  }
  if (!hasMatched) {
    process.exitCode = 1
    failed.push(`failed: no test has a name that matches ${patterns.join(' or ')}`)
  }
  for (const message of [...[...counts].map(([name, count]) => `${name} ${count}`), ...failed])
    yield { type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } }
}

/** Nothing of a suite, which fails because of what is in it. */
function failureOf({ name, file = '', line, details }: EventData.TestFail): string[] {
  const { failureType, cause, message } = details.error as Error & { failureType?: string }
  if (failureType === 'subtestsFailed') return []
  const reason = (cause instanceof Error ? cause.message : message)
    .replaceAll(/\s+/g, ' ')
    .slice(0, REASON_CHARACTERS)
  return [`failed: ${relative(ROOT, file)}:${line} ${name}: ${reason}`]
}
