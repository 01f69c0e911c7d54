import { deepStrictEqual, ok } from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

/** What holds for the whole project: who may import whom, what is exported, what is never done. */

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | Record<string, string>>
  bin: Record<string, string>
}

/** Path from the root, with `/` → text. */
const sources = new Map<string, string>()
for (const folder of ['src', 'functions']) {
  const all = existsSync(join(root, folder)) ? readdirSync(join(root, folder), { recursive: true }) : []
  for (const name of all.map(String)) {
    const path = posix.join(folder, name.replaceAll('\\', '/'))
    if (path.endsWith('.ts')) sources.set(path, readFileSync(join(root, path), 'utf8'))
  }
}

interface Import {
  from: string
  line: number
  /** A path from the root for our own files, else the specifier. */
  to: string
}

/** Every import and re-export, type-only and dynamic ones too. */
function importsOf(path: string, text: string): Import[] {
  const found: Import[] = []
  const code = text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) =>
    comment.replace(/[^\n]/g, ' '),
  )
  for (const match of code.matchAll(
    /^(?:import|export)\b[^'";=]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm,
  )) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? ''
    const to = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier
    found.push({ from: path, line: code.slice(0, match.index).split('\n').length, to })
  }
  return found
}

const imports = [...sources].flatMap(([path, text]) => importsOf(path, text))
const show = ({ from, line, to }: Import): string => `${from}:${line} imports ${to}`

/** `src/net/pool.ts` → `net`, `src/errors.ts` → `errors`, `functions/publish.ts` → `functions`. */
function layerOf(path: string): string {
  const [top = '', folder = ''] = path.split('/')
  return top === 'functions' ? top : folder.replace(/\.ts$/, '')
}

/** A program of its own, which runs in the processes of the local Lambda. */
const BOOTSTRAP = 'src/testing/lambda/bootstrap.ts'

const CORE = ['errors', 'wire', 'commands', 'net', 'routing', 'client']
/** Layer → the layers it may import besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  ...Object.fromEntries(CORE.map((layer, at) => [layer, CORE.slice(0, at)])),
  index: CORE,
  lambda: [...CORE, 'index'],
  testing: [...CORE, 'lambda', 'index'],
  cli: [...CORE, 'index', 'lambda', 'testing'],
  functions: [...CORE, 'index', 'lambda'],
}

describe('imports', () => {
  it('are found: the check sees every kind of them', () => {
    const text = [
      "import { a } from './a.ts'",
      "import type { b } from '../wire/b.ts'",
      'import {',
      '  c,',
      "} from './c.ts'",
      "export * from './d.ts'",
      "const e = await import('./e.ts')",
      "import './f.ts'",
      "// import { g } from './g.ts'",
      "import n from 'node:net'",
    ].join('\n')

    deepStrictEqual(
      importsOf('src/net/x.ts', text).map(({ line, to }) => `${line} ${to}`),
      [
        '1 src/net/a.ts',
        '2 src/wire/b.ts',
        '3 src/net/c.ts',
        '6 src/net/d.ts',
        '7 src/net/e.ts',
        '8 src/net/f.ts',
        '10 node:net',
      ],
    )
    ok(imports.length > 100)
  })

  it('flow one way: errors ← wire ← commands ← net ← routing ← client ← lambda ← functions', () => {
    const own = imports.filter(({ to }) => /^(src|functions)\//.test(to))
    const wrong = own.filter(({ from, to }) => {
      const [layer, target] = [layerOf(from), layerOf(to)]
      return layer !== target && !MAY_IMPORT[layer]?.includes(target)
    })

    deepStrictEqual(wrong.map(show), [])
  })

  it('of the local broker stop at the commands: a mistake in the client must not hide in its own test', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith('src/testing/broker') &&
        to.startsWith('src/') &&
        !to.startsWith('src/testing/') &&
        !['errors', 'wire', 'commands'].includes(layerOf(to)),
    )

    deepStrictEqual(wrong.map(show), [])
  })

  it('of the local Lambda stop at the errors: it runs bundles, whatever is in them', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith('src/testing/lambda') &&
        to.startsWith('src/') &&
        !to.startsWith('src/testing/') &&
        layerOf(to) !== 'errors',
    )

    deepStrictEqual(wrong.map(show), [])
  })

  it('of the program that runs in an environment there are none: it is started, by its path', () => {
    deepStrictEqual(imports.filter(({ to }) => to === BOOTSTRAP).map(show), [])
    ok(sources.has(BOOTSTRAP))
  })

  it('of node:net and node:tls are in net and testing only', () => {
    const wrong = imports.filter(
      ({ from, to }) => /^(node:)?(net|tls)$/.test(to) && !['net', 'testing'].includes(layerOf(from)),
    )

    deepStrictEqual(wrong.map(show), [])
  })

  it('of commander are in the command line only: no bundle of a function has it', () => {
    const wrong = imports.filter(({ from, to }) => to === 'commander' && layerOf(from) !== 'cli')

    deepStrictEqual(wrong.map(show), [])
  })

  it('of packages are in lambda, testing, cli and functions only: the core has no dependency', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        !to.startsWith('node:') &&
        !/^(src|functions)\//.test(to) &&
        [...CORE, 'index'].includes(layerOf(from)),
    )

    deepStrictEqual(wrong.map(show), [])
  })

  it('lead to files that exist', () => {
    const wrong = imports.filter(({ to }) => /^(src|functions)\//.test(to) && !sources.has(to))

    deepStrictEqual(wrong.map(show), [])
  })
})

describe('the sources', () => {
  /** Lines that match, comments left out. */
  const lines = (pattern: RegExp, but: (path: string) => boolean): string[] =>
    [...sources].flatMap(([path, text]) =>
      but(path)
        ? []
        : text
            .split('\n')
            .flatMap((line, at) =>
              pattern.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line)
                ? [`${path}:${at + 1} ${line.trim()}`]
                : [],
            ),
    )

  it('read the environment in client/options.ts, cli, functions and the local Lambda’s bootstrap only', () => {
    const may = (path: string): boolean =>
      ['src/client/options.ts', BOOTSTRAP].includes(path) || ['cli', 'functions'].includes(layerOf(path))

    deepStrictEqual(lines(/\bprocess\s*\.\s*env\b|\bprocess\s*\[/, may), [])
  })

  it('have no background work: no setInterval', () => {
    deepStrictEqual(
      lines(/\bsetInterval\b/, (path) => ['testing', 'cli'].includes(layerOf(path))),
      [],
    )
  })

  it('of wire have no clock, no randomness and no timer', () => {
    deepStrictEqual(
      lines(
        /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandomBytes\b|\bset(Timeout|Immediate)\b/,
        (path) => layerOf(path) !== 'wire',
      ),
      [],
    )
  })

  it('begin with what they are', () => {
    const silent = [...sources].filter(([, text]) => !/^(#!.*\n)?\/\*\*/.test(text)).map(([path]) => path)

    deepStrictEqual(silent, [])
  })
})

/** The names that a module exports, types too, in the order of the alphabet. */
function exportedNames(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const names = new Set<string>()
  for (const [, from] of text.matchAll(/^export \* from '([^']+)'/gm)) {
    for (const name of exportedNames(resolve(dirname(path), from ?? ''))) names.add(name)
  }
  for (const [, list] of text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)) {
    for (const item of (list ?? '').split(',')) {
      const name = item
        .trim()
        .replace(/^type /, '')
        .split(' as ')
        .at(-1)
      if (name) names.add(name)
    }
  }
  for (const [, name] of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/gm,
  )) {
    if (name) names.add(name)
  }
  return [...names].sort()
}

/** `./dist/wire/index.js` → `src/wire/index.ts`. */
const sourceOf = (built: string): string =>
  join('src', relative('dist', built)).replace(/(\.d\.ts|\.js)$/, '.ts')

describe('the package', () => {
  const entries = Object.entries(manifest.exports).flatMap(([entry, target]) =>
    typeof target === 'string' ? [] : [{ entry, files: Object.values(target) }],
  )

  it('has the entries that it promises, each built from a source that exists', () => {
    deepStrictEqual(
      entries.map(({ entry }) => entry),
      ['.', './lambda', './testing', './wire', './commands', './errors'],
    )
    for (const { entry, files } of entries) {
      deepStrictEqual(new Set(files.map(sourceOf)).size, 1, entry)
      ok(
        files.every((file) => existsSync(join(root, sourceOf(file)))),
        `${entry}: ${files.map(sourceOf).join(', ')} is missing`,
      )
    }
  })

  it('has a command that is built from a source which says what runs it', () => {
    deepStrictEqual(Object.keys(manifest.bin), ['rocketmq-lambda'])
    const source = sourceOf(manifest.bin['rocketmq-lambda'] ?? '')
    deepStrictEqual(source, 'src/cli/main.ts')
    ok(sources.get(source)?.startsWith('#!/usr/bin/env node\n'))
  })

  it('names types first in every entry', () => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target !== 'string') deepStrictEqual(Object.keys(target), ['types', 'default'])
    }
  })

  for (const { entry, files } of entries) {
    const source = join(root, sourceOf(files[0] ?? ''))
    const name = entry.replace(/^\.\/?/, '') || 'index'
    // After a wanted change: node --test --test-update-snapshots test/project.test.ts
    it(`exports from ${entry} what test/exports/${name}.txt says`, (t) => {
      t.assert.fileSnapshot(exportedNames(source), join(root, 'test', 'exports', `${name}.txt`), {
        serializers: [(names: string[]) => names.join('\n')],
      })
    })
  }

  it('exports at run time the values among those names, and nothing else', async () => {
    for (const { entry, files } of entries) {
      const source = join(root, sourceOf(files[0] ?? ''))
      if (!existsSync(source)) continue // the first test reports it
      const names = exportedNames(source)
      const unknown = Object.keys((await import(source)) as object).filter((name) => !names.includes(name))
      deepStrictEqual([entry, unknown], [entry, []])
    }
  })
})
