/** Apache's Java producer and ours in one producer group, each leaving transactions to the check: who answers for whom. */
import { type Client, createTransactionProducer, type Resolve } from '../../src/index.ts'
import { transactionChecker } from '../../src/lambda/index.ts'
import { GetProducerConnectionList } from '../../src/testing/broker/handlers/more-commands.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import type { JavaClient } from './rocketmq/interop.ts'

const COUNT = 6

export interface Mixed {
  /** Of all messages that are to be delivered. */
  committed: Set<string>
  /** Whether we were asked about a message of Java's, and Java about one of ours. */
  askedCrosswise: { us: boolean; java: boolean }
}

/** @param masters addresses of the brokers */
export async function mixTransactions(
  client: Client,
  java: JavaClient,
  masters: readonly string[],
  topic: string,
  producerGroup: string,
): Promise<Mixed> {
  const transactions = createTransactionProducer(client, { producerGroup })
  const first = await java.sendTransaction({ topic, body: 'first', outcome: 'commit', producerGroup })
  for (const master of masters)
    await until('Java to be registered', () =>
      client.network
        .call(master, GetProducerConnectionList, { producerGroup }, undefined, {
          deadline: client.deadline(),
        })
        .then(
          () => true,
          () => false,
        ),
    )
  const theirs: string[] = []
  const ours: string[] = []
  // Not in turn: they are asked about in turn, and each would be about its own.
  for (const message of messages(topic)) ours.push((await transactions.begin(message)).messageId)
  for (const message of messages(topic)) {
    const { messageId } = await java.sendTransaction({ ...message, producerGroup, outcome: 'unknown' })
    theirs.push(messageId)
  }
  const askedUs = new Set<string>()
  const resolve: Resolve = async ({ messageId, properties }) => {
    askedUs.add(messageId)
    return properties['onCheck'] === 'commit' ? 'commit' : 'rollback'
  }
  const check = transactionChecker({ producerGroup, windowMs: 6_000, client }, resolve)
  await check(scheduledEvent(), lambdaContext({ remainingMs: 20_000 }))
  const askedJava = (await java.transactionChecks(producerGroup)).map(
    ({ properties }) => properties['UNIQ_KEY'],
  )
  return {
    committed: new Set([first.messageId, ...[...ours, ...theirs].filter((_, n) => n % 2 === 0)]),
    askedCrosswise: {
      us: theirs.some((messageId) => askedUs.has(messageId)),
      java: ours.some((messageId) => askedJava.includes(messageId)),
    },
  }
}

/** Every other one is to be committed. */
const messages = (topic: string) =>
  Array.from({ length: COUNT }, (_, n) => ({
    topic,
    body: `message ${n}`,
    properties: { onCheck: n % 2 === 0 ? 'commit' : 'rollback' },
  }))
