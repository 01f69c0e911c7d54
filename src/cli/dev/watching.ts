/**
 * The code of the functions while it is written. Sources are bundled by esbuild, which watches all that goes into a bundle;
 * files that are built already are looked at once a second.
 */
import { unwatchFile, watchFile } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildContext, BuildResult, Message, Plugin } from 'esbuild'
import { ConfigError } from '../../errors.ts'
import type { ProjectFunction } from './project.ts'

type Esbuild = typeof import('esbuild')

export interface WatchingOptions {
  functions: Readonly<Record<string, ProjectFunction>>
  /** Where the bundles go. */
  folder: string
  /** A function has other code than before. */
  onBuilt: (name: string, file: string) => Promise<void>
  /** It has not got it, and why, in one line. */
  onFailed: (name: string, why: string) => void
  /** Aborted when nothing is to be waited for any more: esbuild's process, ended by Ctrl-C, does not say that it will not answer. */
  ending: AbortSignal
}

export interface SourceBundles {
  /** The bundle of each function that has a source, by name. */
  files: Readonly<Record<string, string>>
  close(): Promise<void>
}

const LOOK_EVERY_MS = 1_000

/** Lets what is CommonJS in a bundle `require` Node's modules. */
const BANNER =
  "import { createRequire as requireOf } from 'node:module'; globalThis.require ??= requireOf(import.meta.url);"

/** Bundles the functions that have a source, and watches them from then on. @throws ConfigError for one that cannot be */
export async function bundleSources(options: WatchingOptions): Promise<SourceBundles> {
  const sources = Object.entries(options.functions).filter(([, { isSource }]) => isSource)
  const [first] = sources
  if (!first) return { files: {}, close: async () => undefined }
  const esbuild = await loadEsbuild(first[1].settings.handler)
  const contexts: BuildContext[] = []
  const close = async (): Promise<void> => {
    // Ctrl-C on the terminal may have ended esbuild's own process already.
    await Promise.allSettled(contexts.map((each) => each.dispose()))
    await esbuild.stop()
  }
  try {
    const files = await Promise.all(
      sources.map(([name, { settings }]) => bundleSource(esbuild, name, settings.handler, options, contexts)),
    )
    return { files: Object.fromEntries(files), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function bundleSource(
  esbuild: Esbuild,
  name: string,
  source: string,
  { folder, onBuilt, onFailed, ending }: WatchingOptions,
  contexts: BuildContext[],
): Promise<[name: string, file: string]> {
  const outdir = join(folder, name)
  const file = join(outdir, 'index.mjs')
  const first = Promise.withResolvers<BuildResult>()
  ending.addEventListener('abort', () => first.reject(ending.reason as Error), { once: true })
  first.promise.catch(() => undefined) // nobody may be waiting for it any more
  let isFirst = true
  const plugin: Plugin = {
    name: 'rocketmq-lambda',
    setup(build) {
      build.onEnd(async (result) => {
        const [error] = result.errors
        if (isFirst) first.resolve(result)
        else if (error) onFailed(name, oneLine(error))
        else await onBuilt(name, file)
        isFirst = false
      })
    },
  }
  const context = await esbuild.context({
    entryPoints: { index: source },
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    mainFields: ['module', 'main'],
    banner: { js: BANNER },
    sourcemap: 'inline',
    logLevel: 'silent',
    plugins: [plugin],
  })
  contexts.push(context)
  ending.throwIfAborted()
  await context.watch()
  const [error] = (await first.promise).errors
  if (error) throw new ConfigError(`functions.${name}`, oneLine(error))
  return [name, file]
}

const oneLine = ({ text, location }: Message): string =>
  location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`

/** That of the project, or the one beside this package. */
async function loadEsbuild(source: string): Promise<Esbuild> {
  for (const from of [join(dirname(source), 'package.json'), import.meta.url]) {
    try {
      return (await import(pathToFileURL(createRequire(from).resolve('esbuild')).href)) as Esbuild
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new ConfigError(
    'esbuild',
    `the package is needed to bundle ${source}: npm install --save-dev esbuild`,
  )
}

/** Watches the functions that are built elsewhere. @returns what ends it */
export function watchBuilt({ functions, onBuilt, onFailed }: WatchingOptions): () => void {
  const built = Object.entries(functions).flatMap(([name, { settings, isSource }]) =>
    isSource ? [] : [{ name, handler: settings.handler }],
  )
  for (const { name, handler } of built) {
    // Bundlers remove folders and write files in several steps, which watching by events loses.
    watchFile(handler, { interval: LOOK_EVERY_MS }, ({ mtimeMs, size }, before) => {
      if (size === 0 || mtimeMs === before.mtimeMs) return
      onBuilt(name, handler).catch((error: Error) => onFailed(name, error.message))
    })
  }
  return () => {
    for (const { handler } of built) unwatchFile(handler)
  }
}
