/**
 * Beginning and ending transactions (protocol.md 12; upstream DefaultMQProducerImpl.sendMessageInTransaction). The half
 * message is an ordinary send with two properties more; who ends it may be another process, so everything that an end
 * needs is in the value that `begin` gives.
 */
import { EndTransaction } from '../commands/transaction.ts'
import { BrokerError, RocketMQError } from '../errors.ts'
import type { CallOptions } from '../net/deadline.ts'
import type { Network } from '../net/network.ts'
import { checkChoice, checkObject, refuse } from '../wire/checks.ts'
import { TRANSACTION_COMMIT, TRANSACTION_PREPARED, TRANSACTION_ROLLBACK } from '../wire/flags.ts'
import { decodeOffsetMessageId } from '../wire/message-id.ts'
import { checkGroupName } from '../wire/names.ts'
import { checkPropertiesLength, encodeProperties } from '../wire/properties.ts'
import type { Client } from './client.ts'
import { atLeast, takeOptions } from './options.ts'
import type { BatchedMessage } from './outgoing.ts'
import { createSender } from './producer.ts'
import { checkSecrets, type Seal } from './seal.ts'
import { readTransaction, sealTransaction, type Transaction } from './transaction.ts'
import type { SendStatus } from './values.ts'

export interface TransactionProducerOptions {
  /** The group that brokers ask what became of a transaction: everyone in it must be able to tell. */
  producerGroup: string
  /**
   * At least 32 characters. Transactions are signed text then, which may pass through hands that are not trusted. Of a
   * list the first one signs and all are accepted, for rotation. @default none: transactions are plain JSON
   */
  secret?: string | readonly string[] | undefined
  /** How long signed text is accepted, in ms. @default 300000 */
  maxAgeMs?: number | undefined
  /** How often a failed `begin` is tried again, where nothing can have been stored. @default 2 */
  retries?: number | undefined
}

/** A message of a transaction: no delay, which brokers would take for the half message. */
export type TransactionMessage = BatchedMessage & { topic: string }

/** How a transaction ends. */
export type TransactionOutcome = 'commit' | 'rollback'

/** What became of `run`. */
export interface RunResult<Result> {
  /** What the function returned. */
  result: Result
  messageId: string
  /** `unknown`: the commit failed with `error`, and may have been done. The next check decides. */
  outcome: 'committed' | 'unknown'
  error?: RocketMQError
}

/** @typeParam Value `Transaction`, or with a secret `string` */
export interface Transactor<Value> {
  /**
   * Stores a half message, which nobody sees until it is committed. Give the transaction to whoever ends it.
   *
   * End it 4 s before the broker's `transactionTimeOut` (6 s) is over: it takes up to 3 s to note an end. Later, a round of
   * checks may have made a copy of the half message: the end is still done, but the copy is asked about, and delivered
   * once more when that is answered with commit. Where work takes longer, raise that setting of the broker.
   * @throws as `send` does. After an error with `outcome` `unknown` there may be a half message: a check asks about it.
   */
  begin(message: TransactionMessage, options?: CallOptions): Promise<Value>
  /**
   * Commits or rolls back. Sent once: a commit that arrives twice delivers twice, and brokers answer a commit after a
   * rollback, or after another commit, as if it were the first. Resolves when the broker has done it.
   * @throws ConfigError for a transaction that is altered, has expired or is none; else as `send` does. After `outcome`
   * `unknown` do not repeat it: a check asks.
   */
  end(transaction: Value, outcome: TransactionOutcome, options?: CallOptions): Promise<void>
  /**
   * Begins, calls the function, and commits when it returns. When it throws, rolls back and throws the same, unless the
   * error says `outcome: 'unknown'`, as those of this package do: then it is left to the check.
   */
  run<Result>(
    message: TransactionMessage,
    work: (begun: { transaction: Value; messageId: string }) => Promise<Result>,
    options?: CallOptions,
  ): Promise<RunResult<Result>>
}

/** As END_TRANSACTION has them. */
export const END_CODES: Readonly<Record<TransactionOutcome, number>> = {
  commit: TRANSACTION_COMMIT,
  rollback: TRANSACTION_ROLLBACK,
}

interface Resolved {
  producerGroup: string
  secret: readonly string[] | undefined
  maxAgeMs: number
  retries: number
}

/** Whose transactions, and how they are signed. */
export interface Signed {
  producerGroup: string
  seal: Seal | undefined
}

/** A half message that was stored, how well, and the transaction that it is of. */
export interface Begun {
  transaction: Transaction | string
  messageId: string
  status: SendStatus
}

/** What begins; apart from what ends, for functions that do one of them. */
export const createBegin = (
  client: Client,
  { producerGroup, seal }: Signed,
  retries?: number,
): ((message: TransactionMessage, limits?: CallOptions) => Promise<Begun>) => {
  const halves = createSender(
    { ...client, network: sendingHalves(client.network, client.wrap(producerGroup)) },
    { producerGroup, retries },
  )
  return async (message, limits) => {
    checkObject('message', message)
    for (const name of ['delayLevel', 'delayMs', 'deliverAt'])
      if ((message as Readonly<Record<string, unknown>> & TransactionMessage)[name] !== undefined)
        refuse(name, 'does not work in a transaction')
    const begunAt = Date.now()
    const {
      status,
      messageId,
      queue: { topic, brokerName },
      queueOffset,
      offsetMessageId,
    } = await halves.send(message, limits)
    try {
      const transaction: Transaction = {
        version: 1,
        producerGroup,
        topic,
        messageId,
        brokerName,
        queueOffset: String(queueOffset),
        commitLogOffset: String(decodeOffsetMessageId(offsetMessageId).commitLogOffset),
        begunAt,
      }
      return { transaction: seal ? sealTransaction(seal, transaction) : transaction, messageId, status }
    } catch (error) {
      // There is a half message, and a check asks about it.
      throw Object.assign(error as Error, { topic, outcome: 'unknown' })
    }
  }
}

/** What ends. */
export const createEnd = (
  client: Client,
  { producerGroup, seal }: Signed,
): Transactor<Transaction | string>['end'] => {
  const group = client.wrap(producerGroup)
  return async (given, outcome, limits) => {
    checkChoice('outcome', outcome, 'commit', 'rollback')
    const { topic, brokerName, messageId, ...at } = readTransaction(seal, producerGroup, given)
    await told(
      client.callQueue(
        { topic, brokerName, queueId: 0 },
        EndTransaction,
        {
          topic: client.wrap(topic),
          producerGroup: group,
          tranStateTableOffset: BigInt(at.queueOffset),
          commitLogOffset: BigInt(at.commitLogOffset),
          commitOrRollback: END_CODES[outcome],
          fromTransactionCheck: false,
          msgId: messageId,
          transactionId: messageId,
        },
        undefined,
        { deadline: client.deadline(limits) },
      ),
    )
  }
}

/** @throws ConfigError naming the option */
export const createTransactor = (
  client: Client,
  options: TransactionProducerOptions,
): Transactor<Transaction | string> => {
  const {
    producerGroup,
    secret: secrets,
    maxAgeMs,
    retries,
  } = takeOptions<Resolved>('createTransactionProducer', options, {
    producerGroup: checkGroupName,
    secret: checkSecrets,
    maxAgeMs: atLeast(1, 300_000),
    retries: atLeast(0, 2),
  })
  const signed: Signed = { producerGroup, seal: secrets && { secrets, maxAgeMs } }
  const begin = createBegin(client, signed, retries)
  const end = createEnd(client, signed)

  return {
    begin: async (message, limits) => (await begin(message, limits)).transaction,
    end,
    async run(message, work, limits) {
      const { transaction, messageId } = await begin(message, limits)
      let result: Awaited<ReturnType<typeof work>>
      try {
        result = await work({ transaction, messageId })
      } catch (error) {
        const isUnknown = (error as { outcome?: unknown } | undefined)?.outcome === 'unknown'
        // A rollback that fails is made up for by the check; what the caller must hear of is the error.
        if (!isUnknown) await end(transaction, 'rollback', afterWork(limits)).catch(() => undefined)
        throw error
      }
      try {
        await end(transaction, 'commit', afterWork(limits))
        return { result, messageId, outcome: 'committed' }
      } catch (error) {
        // The work is done: whoever hears of a failure might do it again.
        if (!RocketMQError.is(error)) throw error
        return { result, messageId, outcome: 'unknown', error }
      }
    },
  }
}

/** An end is worth its time also when the caller has given up. */
const afterWork = ({ deadlineMs }: CallOptions = {}): CallOptions => ({ deadlineMs })

/** The answers to an end that say that nothing was done, of code 1, which otherwise may mean anything. */
const NOT_DONE =
  /^(The (producer group|transaction state table offset|commit log offset) wrong|Find prepared)/

/** An END_TRANSACTION, with what is known about it when it fails. */
export const told = async <Answer>(call: Promise<Answer>): Promise<Answer> => {
  try {
    return await call
  } catch (error) {
    if (error instanceof BrokerError && NOT_DONE.test(error.remark))
      Object.assign(error, { outcome: 'refused' })
    throw error
  }
}

/** The network for a producer whose messages are half messages. */
function sendingHalves(network: Network, group: string): Network {
  const half = encodeProperties([
    ['TRAN_MSG', 'true'],
    ['PGROUP', group],
  ])
  const call: Network['call'] = async (address, command, request, body, limits) => {
    const send = request as { sysFlag: number; properties: string }
    const properties = send.properties + half
    checkPropertiesLength(properties)
    const changed = { ...send, sysFlag: send.sysFlag | TRANSACTION_PREPARED, properties } as typeof request
    try {
      return await network.call(address, command, changed, body, { ...limits, once: true })
    } catch (error) {
      // Another attempt would leave a half message behind that a check finds, and delivers too.
      if (RocketMQError.is(error) && error.outcome === 'unknown') Object.assign(error, { retryable: false })
      throw error
    }
  }
  return { ...network, call }
}
