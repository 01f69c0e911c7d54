/**
 * `npm run vectors -- <folder>`: checks a folder of golden vectors (test/golden/vectors has the shape of each file).
 * One line for each failure, then `N passed, N failed`. Exit code 1 when one failed or nothing was checked.
 */
import { readVectors } from '../test/support/vectors.ts'

const folder = process.argv[2]
if (folder === undefined || folder === '--help') {
  console.log('usage: npm run vectors -- <folder of vector files>')
  process.exit(folder === undefined ? 1 : 0)
}

let passed = 0
let failed = 0
try {
  const { files, unknown } = readVectors(folder)
  if (unknown.length > 0) console.log(`warning: unknown files, not checked: ${unknown.join(', ')}`)
  for (const { name, cases, check } of files) {
    for (const [index, vector] of cases.entries()) {
      const wrong = check(vector)
      if (wrong === undefined) passed++
      else {
        failed++
        console.log(`${name} #${index} ${vector?.name ?? vector?.kind ?? ''}: ${wrong}`)
      }
    }
  }
  if (files.length === 0) console.log(`no known vector file in ${folder}`)
} catch (error) {
  failed++
  console.log(error instanceof Error ? error.message : error)
}
console.log(`${passed} passed, ${failed} failed`)
if (failed > 0 || passed === 0) process.exitCode = 1
