/** The wall clock of functions that are frozen, which is moved in place of a wait. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FreezeProxy } from './freeze-proxy.ts'

export const FROZEN_MS = { '0 s': 0, '10 s': 10_000, '130 s': 130_000, '20 min': 1_200_000 } as const
export type Frozen = keyof typeof FROZEN_MS

export interface FreezeClock extends AsyncDisposable {
  /** For the test's files; it is removed in the end. */
  readonly folder: string
  advance(ms: number): Promise<void>
  /** Of a function that has this clock and whose connections go through the proxies. */
  environment(proxies: readonly FreezeProxy[]): Record<string, string>
}

/** Until it is disposed of it is this process's clock too: the local Lambda tells functions when their time is over. */
export async function openFreezeClock(): Promise<FreezeClock> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-freeze-'))
  const file = join(folder, 'clock')
  const now = Date.now
  let aheadMs = 0
  const advance = async (ms: number): Promise<void> => {
    aheadMs += ms
    await writeFile(file, String(aheadMs))
  }
  await advance(0)
  Date.now = () => now() + aheadMs
  return {
    folder,
    advance,
    environment: (proxies) => ({
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'frozen-world.ts')).href}`,
      FROZEN_CLOCK: file,
      FROZEN_PORTS: JSON.stringify(Object.fromEntries(proxies.map(({ target, port }) => [target, port]))),
    }),
    async [Symbol.asyncDispose]() {
      Date.now = now
      await rm(folder, { recursive: true, force: true })
    },
  }
}
