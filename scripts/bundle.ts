/**
 * Bundles each function of functions/ into .build/functions/<name>/index.mjs, as it is deployed, and prints the sizes, except with
 * --quiet.
 *
 * Each is bundled by itself, so that what one does not use is not in it; `splitting` keeps what is loaded on demand
 * (node:tls, a Lambda SDK) out of the file that every cold start parses.
 */
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BuildOptions, build } from 'esbuild'

const root: string = join(import.meta.dirname, '..')
const out: string = join(root, '.build', 'functions')

/** The deployable entries; a file that no deployment names (`handle-records`) is not one. */
export const functionNames: readonly string[] = [
  'publish',
  'consume',
  'dispatch',
  'end-transaction',
  'check-transactions',
]

export const bundleOptions: BuildOptions = {
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.15',
  mainFields: ['module', 'main'],
  splitting: true,
  outExtension: { '.js': '.mjs' },
  // Stack traces name our functions, for 2 % more bytes.
  keepNames: false,
  legalComments: 'none',
  logLevel: 'warning',
}

/** Builds one function; resolves to the path of its entry file. */
export async function bundleFunction(name: string, folder: string = out): Promise<string> {
  const outdir = join(folder, name)
  await rm(outdir, { recursive: true, force: true })
  await build({ ...bundleOptions, entryPoints: { index: join(root, 'functions', `${name}.ts`) }, outdir })
  // The zip of a function holds its folder only, so the module type has to stand in it.
  await writeFile(join(outdir, 'package.json'), '{"type":"module"}\n')
  return join(outdir, 'index.mjs')
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const name of functionNames) {
    const entry = await bundleFunction(name)
    if (process.argv.includes('--quiet')) continue
    const files = await readdir(join(entry, '..'))
    for (const file of files.filter((each) => each.endsWith('.mjs'))) {
      const { size } = await stat(join(entry, '..', file))
      console.log(
        `${name.padEnd(18)} ${basename(file).padEnd(24)} ${(size / 1000).toFixed(1).padStart(7)} KB`,
      )
    }
  }
}
