/** Before something is changed that nobody can change back: what it is has been printed, and somebody says yes. */
import { createInterface } from 'node:readline'
import { ConfigError } from '../errors.ts'

/** The option that stands for the answer. */
export const YES = ['-y, --yes', 'do not ask'] as const

/**
 * Whether it was agreed to. Asked on stderr, since stdout may go to a file.
 * @param question `Delete it?`
 * @throws ConfigError where nobody can be asked
 */
export async function confirmed(question: string, yes: boolean | undefined): Promise<boolean> {
  await printed()
  if (yes) return true
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new ConfigError('--yes', 'is needed where there is no terminal to ask on; nothing was changed')
  if (/^y(es)?$/i.test(await ask(`${question} [y/N] `))) return true
  console.error('Nothing was changed.')
  process.exitCode = 1
  return false
}

/** What was printed has been taken: who should have seen it may have gone, and then nothing is to be done. */
async function printed(): Promise<void> {
  process.exitCode = 1 // of a broken pipe, here
  await new Promise((resolve) => process.stdout.write('', resolve))
  process.exitCode = 0
}

/** Empty at the end of the input, and with Ctrl-C. */
function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  return new Promise((resolve) => {
    let answer: string | undefined
    lines.question(question, (text) => {
      answer = text.trim()
      lines.close()
    })
    lines.once('close', () => {
      if (answer === undefined) process.stderr.write('\n')
      resolve(answer ?? '')
    })
  })
}
