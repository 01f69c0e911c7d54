/**
 * The documents say what is there: samples are the examples (which the compiler checks), links lead somewhere, and the names
 * of errors, scripts, options and environment variables exist.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { build } from 'esbuild'
import { bundleOptions, functionNames } from '../scripts/bundle.ts'
import { ErrorCode } from '../src/errors.ts'
import { differences } from './conformance/local-differences.ts'
import { lackedRows } from './conformance/versions.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = globSync(['*.md', 'docs/*.md', 'examples/*.md', 'examples/*/*.md'], { cwd: root }).sort()

describe('the documents', () => {
  it('show only samples that stand in examples, whole or as a region', () => {
    const samples = new Set(
      globSync('examples/**/*.ts', { cwd: root }).flatMap((path) => samplesOf(read(path))),
    )
    const unknown = pages.flatMap((path) =>
      codeBlocks(read(path), 'ts')
        .filter((block) => !samples.has(block))
        .map((block) => `${path}: ${block}`),
    )
    ok(samples.size > 0)
    deepStrictEqual(unknown, [])
  })

  it('show only templates that stand in examples', () => {
    const templates = globSync('examples/*/*.yaml', { cwd: root }).map(read)
    const unknown = pages.flatMap((path) =>
      codeBlocks(read(path), 'yaml')
        .filter((block) => !templates.some((template) => template.includes(block)))
        .map((block) => `${path}: ${block}`),
    )
    deepStrictEqual(unknown, [])
  })

  it('hold JSON that parses', () => {
    for (const path of pages) for (const block of codeBlocks(read(path), 'json')) JSON.parse(block)
  })

  it('link to files and headings that exist', () => {
    const broken: string[] = []
    for (const path of pages) {
      for (const [, target = ''] of withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue
        const [file = '', anchor] = target.split('#')
        const linked = file === '' ? path : join(dirname(path), file)
        if (!existsSync(join(root, linked))) broken.push(`${path}: ${target}`)
        else if (anchor !== undefined && !anchorsOf(read(linked)).includes(anchor))
          broken.push(`${path}: ${target}`)
      }
    }
    deepStrictEqual(broken, [])
  })

  it('link elsewhere by addresses that are well formed', () => {
    const outside = pages.flatMap((path) => {
      const page = withoutCode(read(path))
      const links = [...page.matchAll(/\]\(([a-z]+:[^)\s]+)\)|(?<![(`"'\w])(https?:[^\s)>`"'|]+)/g)]
      return links.map(([, linked, bare = '']) => [path, linked ?? bare] as const)
    })
    const wrong = outside.filter(([, target]) => {
      const url = URL.parse(target)
      const isLocal = url?.hostname === '127.0.0.1' || url?.hostname === 'localhost'
      return (
        !isLocal &&
        !(url?.protocol === 'https:' && /\w\.[a-z]{2,}$/.test(url.hostname) && !/[.,;]$/.test(target))
      )
    })
    ok(outside.length > 0)
    deepStrictEqual(wrong, [])
  })

  it('have no link that is none because of a space or a line end in it', () => {
    const broken = pages.flatMap((path) =>
      [
        ...withoutCode(read(path))
          .replaceAll(/`[^`\n]*`/g, '')
          .matchAll(/\]\((?![^)\s]+\))[^\n]{0,40}/g),
      ].map(([text]) => `${path}: ${text}`),
    )
    deepStrictEqual(broken, [])
  })

  it('are there, with their headings, where code, templates and error texts name them', () => {
    const files = globSync(
      ['{src,functions,scripts,test,bench,examples}/**/*.{ts,yml,yaml}', '*.yml', '.ci/run'],
      {
        cwd: root,
        exclude: (path) => path.includes('node_modules'),
      },
    )
    const missing = files.flatMap((path) =>
      [
        ...read(path).matchAll(
          /(?<![\w/.-])((?:docs|examples)\/[\w/-]+\.md)(?:#([\w-]+))?(?:, ([A-Z][\w ]+))?/g,
        ),
      ]
        .filter(([, page = '', anchor, heading]) => {
          if (!existsSync(join(root, page))) return true
          const anchors = anchorsOf(read(page))
          const isAlarm = path === 'serverless.yml' && heading !== undefined
          const wanted = [anchor, isAlarm ? anchorOf(heading) : undefined].filter(
            (each) => each !== undefined,
          )
          return wanted.some((each) => !anchors.includes(each))
        })
        .map(([text]) => `${path}: ${text}`),
    )
    deepStrictEqual(missing, [])
  })

  it('describe every error code, and no other', () => {
    const headings = [...read('docs/errors.md').matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading)
    deepStrictEqual(headings.sort(), Object.values<string>(ErrorCode).sort())
  })

  it('name only npm scripts that exist', () => {
    const scriptsOf = (path: string): object =>
      existsSync(join(root, path)) ? JSON.parse(read(path)).scripts : {}
    const ours = scriptsOf('package.json')
    const unknown = pages.flatMap((path) =>
      [...read(path).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)]
        .map(([, script, short]) => script ?? short ?? '')
        .filter(
          (script) => !Object.hasOwn({ ...ours, ...scriptsOf(join(dirname(path), 'package.json')) }, script),
        )
        .map((script) => `${path}: ${script}`),
    )
    deepStrictEqual(unknown, [])
  })

  it('name only environment variables that are read somewhere', () => {
    const sources = globSync(['src/**/*.ts', 'functions/*.ts', 'test/support/**/*.ts'], { cwd: root }).map(
      read,
    )
    const unknown = pages.flatMap((path) =>
      [...read(path).matchAll(/`(ROCKETMQ_[A-Z_]+)/g)]
        .map(([, name = '']) => name)
        .filter((name) => !sources.some((source) => source.includes(name)))
        .map((name) => `${path}: ${name}`),
    )
    deepStrictEqual(unknown, [])
  })
})

describe('the commands in the documents', () => {
  it('exist, with their options, as docs/cli.md has them', () => {
    const helps = new Map(
      codeBlocks(read('docs/cli.md'), 'text').map((help) => [
        /^Usage: rocketmq-lambda((?: [a-z]+)*)/.exec(help)?.[1]?.trim() ?? '',
        help,
      ]),
    )
    const unknown = pages.flatMap((path) =>
      [...read(path).matchAll(/\brocketmq-lambda((?: [a-z]+)+)([^\n`]*)/g)].flatMap(
        ([, words = '', rest = '']) => {
          const names = words.trim().split(' ')
          const command = [names.slice(0, 2), names.slice(0, 1)]
            .map((each) => each.join(' '))
            .find((each) => helps.has(each))
          // In prose it may be followed by any word; what begins a line is looked at below.
          if (command === undefined) return []
          const help = helps.get(command) ?? ''
          return [...rest.matchAll(/ (--[a-z-]+)/g)]
            .filter(([, option = '']) => !new RegExp(`${option}\\b`).test(help))
            .map(([, option]) => `${path}: ${command} ${option}`)
        },
      ),
    )
    const lines = pages.flatMap((path) =>
      [...read(path).matchAll(/^ *(?:\$ )?rocketmq-lambda ([a-z]+)/gm)].map(([, name = '']) => name),
    )
    ok(lines.length > 0)
    deepStrictEqual(unknown, [])
    deepStrictEqual(
      lines.filter((name) => !helps.has(name)),
      [],
    )
  })
})

describe('docs/testing.md', () => {
  it('names every case of the conformance suite in which the local broker differs, and no other', () => {
    const [, table = ''] = read('docs/testing.md').split('<!-- conformance -->')
    const named = [...table.matchAll(/^\| ([^|]+?) \| ([^|]+?) \|$/gm)]
      .map(([, name = '', why = '']) => [name, why])
      .slice(1) // below the head
    deepStrictEqual(Object.fromEntries(named), differences)
  })
})

describe('docs/brokers.md', () => {
  it('lists what older versions lack as the conformance suite asserts it', () => {
    const [, table = ''] = read('docs/brokers.md').split('## What a version lacks')
    const rows = [...table.matchAll(/^\| ([^|]+?) \| ((?:\d\.\d\.\d(?:, )?)+) \|/gm)]
    const stated = Object.fromEntries(
      rows.map(([, name = '', versions = '']) => [name, versions.split(', ')]),
    )
    const lacked = lackedRows(['5.3.3', '5.1.4', '4.9.7'])
    const found = Object.keys(lacked).map((name) => [name, stated[name]])

    deepStrictEqual(Object.fromEntries(found), lacked)
  })
})

describe('README.md', () => {
  it('states the sizes of bundles to within 5 %', async () => {
    const page = read('README.md')
    const entries: readonly (readonly [where: RegExp, source: string])[] = [
      [/sending only \| ([\d.]+) \|/, "export { createClient, createProducer } from './src/index.ts'"],
      [
        /sending and pulling \| ([\d.]+) \|/,
        "export { createClient, createProducer, createPullConsumer } from './src/index.ts'",
      ],
      [/`functions\/publish.ts`[^|]*\| ([\d.]+) \|/, "export * from './functions/publish.ts'"],
      [/`functions\/consume.ts`[^|]*\| ([\d.]+) \|/, "export * from './functions/consume.ts'"],
      [/`functions\/dispatch.ts`[^|]*\| ([\d.]+) \|/, "export * from './functions/dispatch.ts'"],
      [
        /`functions\/end-transaction.ts`[^|]*\| ([\d.]+) \|/,
        "export * from './functions/end-transaction.ts'",
      ],
      [
        /`functions\/check-transactions.ts`[^|]*\| ([\d.]+) \|/,
        "export * from './functions/check-transactions.ts'",
      ],
      [/minified bundle \| ([\d.]+) KB/, "export * from './src/index.ts'"],
      [
        /with `\/lambda` ([\d.]+) KB/,
        "import * as a from './src/index.ts'; import * as b from './src/lambda/index.ts'; export { a, b }",
      ],
    ]
    const sizes = await Promise.all(entries.map(([, source]) => bundledKilobytes(source)))
    const wrong = entries.flatMap(([where], index) => {
      const stated = Number(where.exec(page)?.[1])
      const measured = sizes[index] ?? 0
      return Math.abs(measured / stated - 1) <= 0.05
        ? []
        : [`${where} states ${stated}, measured ${measured}`]
    })
    deepStrictEqual(wrong, [])
  })
})

describe('serverless.yml', () => {
  it('sets only environment variables that its functions read', () => {
    const names = [...read('serverless.yml').matchAll(/^ +(ROCKETMQ_[A-Z_]+):/gm)].map(
      ([, name = '']) => name,
    )
    const sources = ['src/client/options.ts', ...globSync('functions/*.ts', { cwd: root })].map(read)
    ok(names.length > 0)
    deepStrictEqual(
      names.filter((name) => !sources.some((source) => source.includes(name))),
      [],
    )
  })

  it('has a handler for functions that exist, and is described with every parameter', () => {
    const text = read('serverless.yml')
    const page = read('docs/deploy.md')
    const handlers = [...text.matchAll(/handler: \.build\/functions\/([\w-]+)\/index\.handler/g)].map(
      ([, name]) => name,
    )
    const parameters = new Set([...text.matchAll(/\$\{param:(\w+)\}/g)].map(([, name = '']) => name))
    deepStrictEqual(handlers, functionNames)
    deepStrictEqual(
      handlers.filter((name) => !existsSync(join(root, `functions/${name}.ts`))),
      [],
    )
    deepStrictEqual(
      [...parameters].filter((name) => !page.includes(`\`${name}\``)),
      [],
    )
  })
})

async function bundledKilobytes(contents: string): Promise<number> {
  const { outputFiles } = await build({
    ...bundleOptions,
    stdin: { contents, resolveDir: root, loader: 'ts' },
    outdir: join(root, '.build'),
    write: false,
    logLevel: 'silent',
    external: ['@aws-sdk/client-lambda', '@aws-sdk/client-secrets-manager'], // loaded on demand, from files of its own
  })
  return outputFiles.reduce((sum, file) => sum + file.contents.length, 0) / 1000
}

/** The file without its leading comment, and each of its regions. */
function samplesOf(source: string): string[] {
  const whole = source
    .replace(/^\/\*\*.*?\*\/\n/s, '')
    .split('\n')
    .filter((line) => !/^\s*\/\/ #(end)?region/.test(line))
    .join('\n')
  const regions = [...source.matchAll(/^\/\/ #region (\S+)\n(.*?)^\/\/ #endregion \1$/gms)].map(
    ([, , body = '']) => body,
  )
  return [whole, ...regions].map((sample) => sample.trim())
}

function codeBlocks(page: string, language: string): string[] {
  return [...page.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, tag]) => tag === language)
    .map(([, , body = '']) => body.trim())
}

function withoutCode(page: string): string {
  return page.replace(/^```.*?^```$/gms, '')
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  return [...withoutCode(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
