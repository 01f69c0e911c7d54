/**
 * Emits dist: JavaScript and declarations one to one, and the bundles of functions/, so that the package can run and deploy
 * them with nothing but Node, and the licences of what is in these. It is what `npm pack` ships.
 */
import { spawnSync } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleFunction, functionNames } from './bundle.ts'
import { thirdPartyLicences } from './licences.ts'

const root: string = join(import.meta.dirname, '..')
const dist: string = join(root, 'dist')

await rm(dist, { recursive: true, force: true })
const { status } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
for (const name of functionNames) await bundleFunction(name, join(dist, 'functions'))
await writeFile(join(dist, 'functions', 'THIRD-PARTY-LICENSES.txt'), await thirdPartyLicences())
