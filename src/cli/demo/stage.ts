/** Where the demo plays: a local broker and a local Lambda with the bundled functions, under one clock. */
import {
  createClock,
  type FaultRule,
  type InvocationRecord,
  type LocalBroker,
  type LocalLambda,
  startBroker,
  startLambda,
  type TestClock,
} from '../../testing/index.ts'
import { bundledFunctions } from '../bundled-functions.ts'
import { isOwnLine } from '../function-lines.ts'
import { dim } from '../output.ts'

export const TOPIC = 'orders'
export const CONSUMER_GROUP = 'billing'

export interface StageOptions {
  /** Takes a line of the story. */
  print: (line: string) => void
  /** Where the bundles of the functions are. @default those of this package */
  functionsFolder?: string
  /** Faults of the broker. @default none */
  faults?: readonly FaultRule[]
}

export interface Stage extends AsyncDisposable {
  readonly print: (line: string) => void
  readonly clock: TestClock
  readonly broker: LocalBroker
  readonly lambda: LocalLambda
  /** The invocations that have ended since it was called last. */
  takeInvocations(): readonly InvocationRecord[]
}

export async function openStage({ print, functionsFolder, faults = [] }: StageOptions): Promise<Stage> {
  const clock = createClock()
  const broker = await startBroker({ clock, topics: [TOPIC], faults })
  let invocations: InvocationRecord[] = []
  const starting = startLambda({
    functions: bundledFunctions({
      nameServers: broker.nameServers,
      topics: [TOPIC],
      consumerGroup: CONSUMER_GROUP,
      folder: functionsFolder,
    }),
    clock,
    onInvocation: (record) => invocations.push(record),
    onLog: ({ functionName, line }) => {
      if (isOwnLine(line)) print(dim(`   ${functionName} │ ${line}`))
    },
  })
  const lambda = await starting.catch(async (error: unknown) => {
    await broker.close()
    throw error
  })
  return {
    print,
    clock,
    broker,
    lambda,
    takeInvocations() {
      const taken = invocations
      invocations = []
      return taken
    },
    async [Symbol.asyncDispose]() {
      try {
        await lambda.close()
      } finally {
        await broker.close()
      }
    },
  }
}
