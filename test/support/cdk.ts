/** AWS CDK, which compiles and synthesises examples/cdk. It comes from npm into .build: 186 MB are too much for every `npm ci`. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const PACKAGES = ['aws-cdk-lib@2.276.0', 'constructs@10.8.1']
const folder = join(root, '.build', PACKAGES.join('-'))

/**
 * Whether CDK is here or can be had from npm. False after one loud line.
 * @throws where CI asks for it and it cannot be had
 */
export async function cdkAvailable(): Promise<boolean> {
  try {
    await install()
    return true
  } catch (cause) {
    const reason = `${PACKAGES.join(' and ')} cannot be had from npm`
    if (process.env['CI']) throw new Error(reason, { cause })
    console.error(`\n*** THE TEST WITH AWS CDK IS SKIPPED: ${reason} ***\n`)
    return false
  }
}

async function install(): Promise<void> {
  if (existsSync(folder)) return
  const unfinished = `${folder}.${process.pid}`
  await mkdir(unfinished, { recursive: true })
  try {
    await writeFile(join(unfinished, 'package.json'), '{ "private": true, "type": "module" }\n')
    const options = ['--save-exact', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    await run('npm', ['install', ...options, ...PACKAGES], { cwd: unfinished })
    await rename(unfinished, folder)
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

const TSCONFIG = {
  compilerOptions: {
    target: 'es2024',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noEmit: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  },
  include: ['*.ts'],
}

/**
 * Compiles the stack and an app around it, runs the app and gives the path of the stack's template.
 * @param app its source; it imports ./stack.ts and names the stack `billing`
 */
export async function synthesise(stack: string, app: string): Promise<string> {
  await copyFile(stack, join(folder, 'stack.ts'))
  await writeFile(join(folder, 'app.ts'), app)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [tsc, '-p', folder]).catch((error: { stdout: string }) => {
    throw new Error(error.stdout)
  })
  const output = join(folder, 'cdk.out')
  await rm(output, { recursive: true, force: true })
  await run(process.execPath, ['app.ts'], { cwd: folder })
  return join(output, 'billing.template.json')
}
