#!/usr/bin/env node
/**
 * The command line: `rocketmq-lambda <command>`. Each command is described by a file of commands/; what it does is loaded
 * when it is called.
 *
 * Exit codes: 0 done, 1 it failed, 2 it was called wrongly. An error is one line on stderr.
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { ErrorCode, RocketMQError } from '../errors.ts'
import { addDemo } from './commands/demo.ts'
import { addDev } from './commands/dev.ts'
import { addDlq } from './commands/dlq.ts'
import { addDoctor } from './commands/doctor.ts'
import { addGroup } from './commands/group.ts'
import { addLag } from './commands/lag.ts'
import { addPeek } from './commands/peek.ts'
import { addReset } from './commands/reset.ts'
import { addSend } from './commands/send.ts'
import { addTopic } from './commands/topic.ts'
import { lineOf } from './output.ts'

const WRONG_USE = 2

/** In the order of the help. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  addDemo,
  addDev,
  addSend,
  addPeek,
  addLag,
  addReset,
  addTopic,
  addGroup,
  addDlq,
  addDoctor,
]

// Whoever reads has had enough, as `head` does, or the terminal is gone. A command that waits for its output to be read sets the code.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(Number(process.exitCode ?? 0))
  console.error(`error: the output cannot be written: ${lineOf(error)}`)
  process.exit(1)
})
process.stderr.on('error', () => process.exit(1))
process.exitCode = await main()

async function main(): Promise<number> {
  const { version, engines } = readManifest()
  const [least = ''] = /[\d.]+/.exec(engines.node) ?? []
  const here = process.versions.node
  if (isOlder(here, least)) {
    console.error(`error: Node ${least} or later is needed; this is ${here}`)
    return 1
  }
  const program = new Command('rocketmq-lambda')
    .description('Apache RocketMQ for AWS Lambda.')
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text)}\n`) })
  for (const add of COMMANDS) add(program)
  try {
    await program.parseAsync()
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // commander has said what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USE
    console.error(`error: ${lineOf(error)}`)
    return RocketMQError.is(error) && error.code === ErrorCode.CONFIG ? WRONG_USE : 1
  }
}

interface Manifest {
  version: string
  engines: { node: string }
}

function readManifest(): Manifest {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Manifest
}

/** npm only warns of it, and what fails then is an import, with words that help nobody. */
function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0
}

/** commander puts its suggestion on a line of its own. */
function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ')
}
