/**
 * Kills the environments when this process has ended without doing so itself, by kill -9 for instance.
 *
 * A shell reads their process groups from a pipe. When the pipe closes it kills the groups that are left. Only SIGKILL
 * reaches a process that is stopped, and a stopped process cannot notice that its parent is gone.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'

const SCRIPT = `
groups=' '
while read -r verb group; do
  case $verb in
    started) groups="$groups$group " ;;
    ended) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group" 2>/dev/null; done
`

export interface Watchdog {
  /** From now on the process group is killed when this process ends. */
  started(group: number): void
  /** Its number may be given to another process, which is not to be killed. */
  ended(group: number): void
  /** Kills what is left. */
  close(): Promise<void>
}

export function startWatchdog(): Watchdog {
  // Detached: Ctrl-C on the terminal must not end the watchdog before it has done its work.
  const shell = spawn('/bin/sh', ['-c', SCRIPT], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  })
  const exited = once(shell, 'exit')
  shell.unref()
  const pipe = shell.stdin as Socket
  pipe.unref()
  // Someone has killed the shell: what it was for is then done by close() alone.
  pipe.on('error', () => undefined)
  return {
    started: (group) => void pipe.write(`started ${group}\n`),
    ended: (group) => void pipe.write(`ended ${group}\n`),
    async close() {
      shell.ref()
      pipe.end()
      await exited
    },
  }
}
