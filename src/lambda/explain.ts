/** Problem documents for what went wrong on the way to a broker. */
import { inspect } from 'node:util'
import type { Client } from '../client/client.ts'
import { AskRouteInfoByTopic } from '../commands/route.ts'
import { RouteError } from '../errors.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import { type Asked, type Problem, toProblem, type Wording } from './http.ts'

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
  asked?: Asked,
  wording?: Wording,
): Promise<Problem> {
  const document = toProblem(await reasonOf(error, call), asked, wording)
  // In one line of JSON: a remark or what a caller gave may be quoted in it, and must not look like lines of its own.
  if (document.status === 500) console.error(JSON.stringify({ level: 'ERROR', message: inspect(error) }))
  return document
}

/** Name servers forget the topics of brokers that are gone: when no broker is left, a topic is not wrong for being unknown. */
export async function reasonOf(error: unknown, { client, deadlineMs }: Calling): Promise<unknown> {
  if (!isUnknownTopic(error)) return error
  try {
    // Not by its route: what is known of it from before says nothing.
    const request = { topic: SELF_TEST, acceptStandardJsonOnly: true }
    await client.nameServers.call(AskRouteInfoByTopic, request, undefined, client.deadline({ deadlineMs }))
    return error
  } catch (cause) {
    return new RouteError('no broker is registered', { topic: error.topic, retryable: true, cause })
  }
}
