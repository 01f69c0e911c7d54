/** Begins the transactions of a publisher; in a file of its own, so that publishers without any do not load it. */
import type { Client } from '../client/client.ts'
import { type Begun, createBegin, type TransactionMessage } from '../client/transactor.ts'
import type { CallOptions } from '../net/deadline.ts'

/** How old a transaction may be is for the ender to say. */
export const beginner =
  (client: Client, producerGroup: string, secrets: readonly string[] | undefined) =>
  (message: TransactionMessage, limits: CallOptions): Promise<Begun> =>
    createBegin(client, { producerGroup, seal: secrets && { secrets, maxAgeMs: 0 } })(message, limits)
