/** Problem documents for what went wrong on the way to a broker. */
import type { Client } from '../client/client.ts'
import { RouteError } from '../errors.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import { type Problem, toProblem, type Wording } from './http.ts'

/** What asks brokers, and until when. */
export interface Calling {
  client: Client
  deadlineMs: number
}

/** Every broker has it. */
const SELF_TEST = 'SELF_TEST_TOPIC'

/** What the function itself does wrong is told in its log only. */
export async function explain(
  error: unknown,
  call: Calling,
  messageId?: string,
  wording?: Wording,
): Promise<Problem> {
  const document = toProblem(await reasonOf(error, call), messageId, wording)
  if (document.status === 500) console.error(error)
  return document
}

/** Name servers forget the topics of brokers that are gone: when no broker is left, a topic is not wrong for being unknown. */
export async function reasonOf(error: unknown, { client, deadlineMs }: Calling): Promise<unknown> {
  if (!isUnknownTopic(error)) return error
  try {
    // What is known of it from before says nothing.
    client.routes.forget(await client.routes.get(SELF_TEST, client.deadline({ deadlineMs })))
    return error
  } catch (cause) {
    return new RouteError('no broker is registered', { topic: error.topic, retryable: true, cause })
  }
}
