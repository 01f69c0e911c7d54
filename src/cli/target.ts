/** What a person sends to: a topic that consumers read. */
import { isOfBrokers } from '../client/admin/topics.ts'
import { ConfigError } from '../errors.ts'
import { checkTopicName } from '../wire/names.ts'

/** What somebody puts into a retry or dead-letter topic has not failed, and no other group gets it. */
export function checkTarget(field: string, topic: string): void {
  checkTopicName(topic, field)
  if (/^%(RETRY|DLQ)%/.test(topic))
    throw new ConfigError(field, `${topic} is of a group: take a topic that it reads`)
  if (isOfBrokers(topic)) throw new ConfigError(field, `${topic} belongs to the brokers`)
}
