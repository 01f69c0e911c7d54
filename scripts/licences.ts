/**
 * The licences of what stands in the bundles of functions/: the package ships the bundles, minified and without comments, and
 * MIT and Apache 2.0 both ask that their text goes along with copies.
 */
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleOptions, functionNames } from './bundle.ts'

const root: string = join(import.meta.dirname, '..')

interface Bundled {
  name: string
  version: string
  text: string
}

/** One text for all bundles: each licence once, below the packages that are under it. */
export async function thirdPartyLicences(): Promise<string> {
  const packages: Bundled[] = []
  for (const folder of await bundledFolders()) packages.push(await readPackage(folder))
  const byText = Map.groupBy(packages, ({ text }) => text)
  const parts = [...byText].map(([text, those]) => {
    const names = those.map(({ name, version }) => `${name} ${version}`).toSorted()
    return `${names.join('\n')}\n\n${text}`
  })
  const head =
    'The functions in this folder are bundles. Besides rocketmq-lambda itself they contain parts of:'
  return [head, ...parts.toSorted()].join(`\n\n${'-'.repeat(80)}\n\n`).concat('\n')
}

async function bundledFolders(): Promise<string[]> {
  const { metafile } = await build({
    ...bundleOptions,
    absWorkingDir: root,
    entryPoints: functionNames.map((name) => `functions/${name}.ts`),
    outdir: '.build',
    write: false,
    metafile: true,
  })
  const folders = Object.keys(metafile?.inputs ?? {}).flatMap(
    (path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  )
  return [...new Set(folders)].map((folder) => join(root, folder))
}

async function readPackage(folder: string): Promise<Bundled> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<string, string>
  const { name = '', version = '', license = '' } = manifest
  const files = globSync(['LICEN[CS]E*', 'NOTICE*'], { cwd: folder }).toSorted()
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  const text = texts.map(trimmed).join('\n\n') || (await standardText(folder, license))
  return { name, version, text }
}

/** Some packages leave the file in their repository. */
async function standardText(folder: string, license: string): Promise<string> {
  if (license === 'Apache-2.0') return trimmed(await readFile(join(root, 'LICENSE'), 'utf8'))
  const [readme = ''] = globSync('README*', { cwd: folder })
  const page = readme && (await readFile(join(folder, readme), 'utf8'))
  const [copyright] = /Copyright \(c\)[^\n]*/i.exec(page.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')) ?? []
  if (license !== 'MIT' || copyright === undefined) throw new Error(`${folder} states no licence`)
  return `MIT License\n\n${copyright}\n\n${MIT}`
}

const trimmed = (text: string): string =>
  text
    .replaceAll(/\r|[ \t]+$/gm, '')
    .replace(/^\n+/, '')
    .trimEnd()

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`
