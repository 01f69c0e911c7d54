/**
 * Apache RocketMQ for tests, from Maven Central: its jars, the compiled interop program and a TLS certificate. It is
 * 5.5.0, or the version that the environment variable ROCKETMQ_VERSION names.
 *
 * All of it lives in `.rocketmq/<version>` at the root of the repository (ignored by git) and is made once: each part is
 * built in a folder of its own and renamed into place, so that a part that is there is complete. A lock file keeps a
 * second process from doing the same work; should the lock fail, the rename still keeps both results whole.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

/** The version that all tests run against; pom.xml names it too. */
const STANDARD_VERSION = '5.5.0'
/** The version that this process starts: the conformance suite runs on others as well. */
export const ROCKETMQ_VERSION: string = process.env['ROCKETMQ_VERSION'] || STANDARD_VERSION

const run = promisify(execFile)
const HERE = import.meta.dirname
const CACHE = join(HERE, '../../../.rocketmq', ROCKETMQ_VERSION)
/** The interop program needs the API of the standard version. */
const INTEROP = ROCKETMQ_VERSION === STANDARD_VERSION
const NEEDS = 'real-broker tests need Java 11+ and Maven: apt-get install -y default-jdk-headless maven'

/** The cached parts, as absolute paths. */
export interface RocketMQInstallation {
  /** Java class path with every jar, and with the interop program where the version is the standard one. */
  readonly classPath: string
  /** A certificate for localhost, 127.0.0.1 and ::1 with its key; absent where openssl is missing. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string }
}

let installation: Promise<RocketMQInstallation> | undefined

/** Makes what is missing and resolves to the parts. About 30 s the first time, nothing after that. */
export function installRocketMQ(): Promise<RocketMQInstallation> {
  installation ??= install()
  return installation
}

/** @returns the folder of the jars. */
export async function ensureRocketMQ(): Promise<string> {
  await installRocketMQ()
  return join(CACHE, 'lib')
}

let available: Promise<boolean> | undefined

/**
 * Whether real-broker tests can run here. False, after one loud line, where Java or Maven is missing.
 * @throws in that case when `CI=true` or `ROCKETMQ_REQUIRED=1`.
 */
export function realBrokerAvailable(): Promise<boolean> {
  available ??= checkAvailable()
  return available
}

async function checkAvailable(): Promise<boolean> {
  const missing = await missingTools()
  if (missing.length === 0) return true
  const reason = `${missing.join(' and ')} not found: ${NEEDS}`
  if (process.env['CI'] === 'true' || process.env['ROCKETMQ_REQUIRED'] === '1') throw new Error(reason)
  console.error(`\n*** REAL-BROKER TESTS SKIPPED: ${reason} ***\n`)
  return false
}

/** The tools that are needed for what is not in the cache yet. */
async function missingTools(): Promise<string[]> {
  const needed: [command: string, flag: string][] = [[javaTool('java'), '-version']]
  if (INTEROP && !existsSync(classesFolder())) needed.push([javaTool('javac'), '-version'])
  if (!existsSync(join(CACHE, 'lib/complete'))) needed.push(['mvn', '-v'])
  const found = await Promise.all(needed.map(([command, flag]) => works(command, flag)))
  return needed.filter((_, index) => !found[index]).map(([command]) => command)
}

async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    await run(command, args)
    return true
  } catch {
    return false
  }
}

/** `java` or another program of the JDK: of `JAVA_HOME` where that is set, otherwise of the PATH. */
export function javaTool(name: 'java' | 'javac'): string {
  const home = process.env['JAVA_HOME']
  return home ? join(home, 'bin', name) : name
}

async function install(): Promise<RocketMQInstallation> {
  const missing = await missingTools()
  if (missing.length > 0) throw new Error(`${missing.join(' and ')} not found: ${NEEDS}`)
  const lib = await part(join(CACHE, 'lib'), downloadJars)
  const jars = `${lib}/*`
  const classPath = INTEROP
    ? `${await part(classesFolder(), (folder) => compileInterop(folder, lib))}:${jars}`
    : jars
  if (!(await works('openssl', 'version'))) return { classPath }
  const tls = await part(join(CACHE, 'tls'), makeCertificate)
  return { classPath, tls: { certPath: join(tls, 'cert.pem'), keyPath: join(tls, 'key.pem') } }
}

/** The class path of the proxy: some 30 jars more, which nothing else needs. */
export async function installProxy(): Promise<string> {
  const lib = await part(join(CACHE, 'proxy'), (folder) => downloadJars(folder, '-Pproxy'))
  return `${lib}/*`
}

async function downloadJars(folder: string, ...options: string[]): Promise<void> {
  if (!/^\d+\.\d+\.\d+$/.test(ROCKETMQ_VERSION))
    throw new Error(`ROCKETMQ_VERSION takes a version such as 4.9.7, got ${ROCKETMQ_VERSION}`)
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${folder}`, '-DincludeScope=runtime']
  // Maven derives its repository from user.home, which comes from the password database, not from HOME.
  const properties = [`-Duser.home=${homedir()}`, `-Drocketmq.version=${ROCKETMQ_VERSION}`]
  await command('mvn', ['-B', '-q', '-f', join(HERE, 'pom.xml'), ...properties, ...options, ...goal])
  const jars = (await readdir(folder)).filter((name) => name.endsWith('.jar'))
  for (const module of ['namesrv', 'broker', 'tools', 'client']) {
    const jar = `rocketmq-${module}-${ROCKETMQ_VERSION}.jar`
    if (!jars.includes(jar))
      throw new Error(`Maven finished, but ${jar} is not among the ${jars.length} jars of ${folder}`)
  }
}

/** Named after its source, so that an edited program is compiled again. */
function classesFolder(): string {
  const source = readFileSync(join(HERE, 'interop/Interop.java'))
  return join(CACHE, `classes-${createHash('sha256').update(source).digest('hex').slice(0, 12)}`)
}

async function compileInterop(folder: string, lib: string): Promise<void> {
  const source = join(HERE, 'interop/Interop.java')
  await command(javaTool('javac'), ['-nowarn', '-proc:none', '-cp', `${lib}/*`, '-d', folder, source])
}

/** Brokers otherwise make a certificate at every start, which takes 3 s and can be verified by nobody. */
async function makeCertificate(folder: string): Promise<void> {
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', names]
  await command('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '3650',
    ...subject,
    ...files,
  ])
}

async function command(name: string, args: string[]): Promise<void> {
  try {
    await run(name, args, { maxBuffer: 1 << 26 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    const lastLines = `${stdout}${stderr}`.trim().split('\n').slice(-15).join('\n')
    throw new Error(`${name} failed (real-broker tests cannot be set up):\n${lastLines}`, { cause: error })
  }
}

/** Builds `folder` once: by `build` into a temporary folder, a marker file last, then a rename. */
async function part(folder: string, build: (folder: string) => Promise<void>): Promise<string> {
  if (existsSync(join(folder, 'complete'))) return folder
  await mkdir(CACHE, { recursive: true })
  const unlock = await lock(`${folder}.lock`)
  const temporary = `${folder}.${process.pid}`
  try {
    if (existsSync(join(folder, 'complete'))) return folder
    await rm(folder, { recursive: true, force: true })
    await mkdir(temporary)
    await build(temporary)
    await writeFile(join(temporary, 'complete'), `${new Date().toISOString()}\n`)
    await rename(temporary, folder)
    return folder
  } finally {
    await rm(temporary, { recursive: true, force: true })
    await unlock()
  }
}

/** Waits for a lock file that holds the owner's pid; the lock of a process that has gone is taken over. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' })
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => '0'))
    if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
    await delay(100)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
