/** Emits dist: JavaScript and declarations one to one, which is what `npm pack` ships. */
import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

const root: string = join(import.meta.dirname, '..')

await rm(join(root, 'dist'), { recursive: true, force: true })
const { status } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
