/** Problem documents for what went wrong on the way to a broker. */
import { inspect } from 'node:util'
import type { Client } from '../client/client.ts'
import { AskRouteInfoByTopic } from '../commands/route.ts'
import { RocketMQError, RouteError } from '../errors.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import { kindOf } from '../wire/checks.ts'
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
  if (document.status === 500) console.error(JSON.stringify({ level: 'ERROR', message: describe(error) }))
  return document
}

/** The text of an error that is not ours, of a schema that throws, may quote a body: its name is told, and where it was thrown. */
function describe(error: unknown): string {
  if (RocketMQError.is(error)) return inspect(error)
  if (!(error instanceof Error)) return kindOf(error)
  const { name, message, stack = '' } = error
  // Without the text first: its lines may look like places.
  return [name, ...(stack.replace(message, '').match(/^ {4}at .+$/gm) ?? [])].join('\n')
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
