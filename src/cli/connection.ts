/**
 * What commands that talk to brokers have in common: where they connect to, `--json`, `--timeout`, and the client that they use.
 * Addresses and credentials come from the environment or a file, never from arguments: those are seen by every user of the machine
 * and stay in the shell's history.
 */
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import type { Command } from 'commander'
import type { Client } from '../client/client.ts'
import { ConfigError } from '../errors.ts'
import { seconds } from './arguments.ts'
import { advising, naming } from './naming.ts'

/** The options of every command that talks to brokers. */
export interface ConnectionOptions {
  connection?: string
  json?: boolean
  /** Milliseconds. */
  timeout?: number
}

/** What the client reads. */
const VARIABLES = [
  'NAMESRV_ADDR',
  'ACCESS_KEY',
  'SECRET_KEY',
  'SECURITY_TOKEN',
  'TLS',
  'TLS_CA',
  'NAMESPACE',
  'TIMEOUT_MS',
].map((name) => `ROCKETMQ_${name}`)

/** Fields of the client's errors, as arguments. */
const NAMES = {
  topic: '<topic>',
  consumerGroup: '<group>',
  cluster: '--cluster',
  brokerName: '--broker',
}

/** Adds the options that every command of brokers has. */
export const addConnection = (command: Command): Command =>
  command
    .option('--connection <file>', 'a file of ROCKETMQ_…=value lines in place of the environment')
    .option('--timeout <seconds>', 'of one request (default: 3, or ROCKETMQ_TIMEOUT_MS)', seconds)
    .option('--json', 'print JSON')

/** Runs it with a client, which is closed in the end. */
export async function withClient<T>(
  { connection, timeout }: ConnectionOptions,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  if (connection !== undefined) takeConnection(connection)
  if (!process.env['ROCKETMQ_NAMESRV_ADDR'])
    throw new ConfigError(
      'ROCKETMQ_NAMESRV_ADDR',
      connection === undefined
        ? 'is not set: it takes host:port of the name servers, or give --connection <file>'
        : `is not in ${connection}: it takes host:port of the name servers`,
    )
  const tls = process.env['ROCKETMQ_TLS'] ?? ''
  if (!['', 'true', 'false'].includes(tls))
    throw new ConfigError('ROCKETMQ_TLS', `takes true or false, got ${tls}`)
  const { createClient } = await import('../client/client.ts')
  const client = createClient({ timeoutMs: timeout })
  try {
    return await run(client).catch(naming(NAMES)).catch(advising)
  } finally {
    await client.close()
  }
}

/** All of it replaces the environment's: keys of one cluster must not be sent to another. */
function takeConnection(file: string): void {
  const given = parseEnv(readConnection(file))
  for (const name of VARIABLES) {
    delete process.env[name]
    if (given[name] !== undefined) process.env[name] = given[name]
  }
}

function readConnection(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw new ConfigError('--connection', `${file} cannot be read (${code})`)
  }
}
