/**
 * Rebundles functions when their sources change, and replaces their warm environments, for development servers of one's own.
 * How to bundle is the caller's; `rocketmq-lambda dev` lets esbuild watch.
 */
import { existsSync, type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../../errors.ts'
import type { LocalLambda } from './start.ts'

export interface WatchOptions {
  lambda: Pick<LocalLambda, 'replace'>
  /** Folders, watched with all that is in them, and files. Not the folder that bundles go to. */
  sources: readonly string[]
  /** Bundles anew and gives the file of each function that may have changed, by name. */
  bundle: () => Promise<Readonly<Record<string, string>>>
  /** Milliseconds without a further change before it bundles: editors write a file in several steps. @default 50 */
  quietMs?: number
  /** The functions that now run new code. */
  onReplaced?: (names: readonly string[]) => void
  /** Bundling has failed, or watching has; the functions go on as they were. @default console.error */
  onError?: (error: unknown) => void
}

/** Watching, until it is closed. */
export interface FunctionWatcher extends AsyncDisposable {
  /** Ends watching; settles when what was being bundled is done. */
  close(): Promise<void>
}

/**
 * @example
 * const bundle = async () => ({ publish: await bundleFunction('publish') })
 * await using watcher = watchFunctions({ lambda, sources: ['functions', 'src'], bundle })
 */
export function watchFunctions(options: WatchOptions): FunctionWatcher {
  const { lambda, sources, bundle, quietMs = 50, onReplaced, onError = console.error } = options
  // Watching says nothing about a folder that is not there.
  const missing = sources.find((source) => !existsSync(source))
  if (missing !== undefined) throw new ConfigError('sources', `there is no file or folder at ${missing}`)
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  /** One run at a time, each after the one before. */
  let last: Promise<void> = Promise.resolve()

  const run = async (): Promise<void> => {
    try {
      const files = Object.entries(await bundle())
      await Promise.all(files.map(([name, file]) => lambda.replace(name, file)))
      onReplaced?.(files.map(([name]) => name))
    } catch (error) {
      onError(error)
    }
  }
  const changed = (): void => {
    if (isClosed) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      watchAll()
      last = last.then(run)
    }, quietMs)
  }
  const watchers = new Map<string, FSWatcher>()
  /** Folder by folder: where Node watches recursively by itself it loses files that are replaced, as editors do. */
  const watchAll = (): void => {
    for (const [path, watcher] of watchers) {
      if (existsSync(path)) continue
      watcher.close()
      watchers.delete(path)
    }
    for (const path of sources.flatMap(foldersOf)) {
      if (!watchers.has(path)) watchers.set(path, watch(path, changed).on('error', onError))
    }
  }
  const close = async (): Promise<void> => {
    isClosed = true
    clearTimeout(timer)
    for (const watcher of watchers.values()) watcher.close()
    await last
  }
  watchAll()
  return { close, [Symbol.asyncDispose]: close }
}

/** A folder with all folders in it; of a file only itself. */
function foldersOf(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return existsSync(path) ? [path] : []
  const inside = readdirSync(path, { recursive: true, withFileTypes: true })
  return [
    path,
    ...inside.filter((each) => each.isDirectory()).map((each) => join(each.parentPath, each.name)),
  ]
}
