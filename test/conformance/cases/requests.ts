/** Low-level requests that several cases make, with everything filled in that they do not care about. */
import type { SendMessageRequest } from '../../../src/commands/send.ts'
import { encodeProperties } from '../../../src/wire/properties.ts'

export const PRODUCER_GROUP = 'conformance'

export function plainSend(
  topic: string,
  changes: Partial<Omit<SendMessageRequest, 'properties'>> & {
    properties?: Readonly<Record<string, string>>
  } = {},
): SendMessageRequest {
  return {
    producerGroup: PRODUCER_GROUP,
    topic,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: BigInt(Date.now()),
    flag: 0,
    ...changes,
    properties: encodeProperties(Object.entries(changes.properties ?? {})),
  }
}
