/** Where the demo plays: a local broker and a local Lambda with the bundled functions, under one clock. */
import { randomBytes } from 'node:crypto'
import { createClient } from '../../index.ts'
import { GetProducerConnectionList } from '../../testing/broker/handlers/more-commands.ts'
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
import { bundledFunctions, PRODUCER_GROUP } from '../bundled-functions.ts'
import { isOwnLine } from '../function-lines.ts'
import { dim } from '../output.ts'

export const TOPIC = 'orders'
export const CONSUMER_GROUP = 'billing'

/** Rounds of checks are closer to each other than as shipped, so that several have room between two runs of consume. */
export const TRANSACTION_TIMES = { transactionTimeOut: 6_000, transactionCheckInterval: 5_000 }
/** In real time: nobody wants to wait. */
const CHECK_WINDOW_MS = 300

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
  /** Whether somebody is there whom the broker can ask about transactions. */
  hasProducer(): Promise<boolean>
}

export async function openStage({ print, functionsFolder, faults = [] }: StageOptions): Promise<Stage> {
  const clock = createClock()
  const broker = await startBroker({ clock, topics: [TOPIC], faults, ...TRANSACTION_TIMES })
  const client = createClient({ nameServers: broker.nameServers })
  let invocations: InvocationRecord[] = []
  const starting = startLambda({
    functions: bundledFunctions({
      nameServers: broker.nameServers,
      topics: [TOPIC],
      consumerGroup: CONSUMER_GROUP,
      folder: functionsFolder,
      transactions: { secret: randomBytes(32).toString('hex'), checkWindowMs: CHECK_WINDOW_MS },
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
    hasProducer: () =>
      client.network
        .call(
          broker.brokers[0]?.address ?? '',
          GetProducerConnectionList,
          { producerGroup: PRODUCER_GROUP },
          undefined,
          { deadline: client.deadline() },
        )
        .then(
          () => true,
          () => false,
        ),
    async [Symbol.asyncDispose]() {
      try {
        await client.close()
        await lambda.close()
      } finally {
        await broker.close()
      }
    },
  }
}
