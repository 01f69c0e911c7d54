/**
 * Topic and group names: what is allowed, what is derived, namespaces
 * (protocol.md 1.6, 10, 19; upstream TopicValidator, Validators, MixAll, KeyBuilder, NamespaceUtil).
 */
import { formatHost, parseHost } from './address.ts'
import { checkText, refuse } from './checks.ts'

const RETRY = '%RETRY%'
const DLQ = '%DLQ%'

/** Where messages of a group are stored again after a failed delivery (pull and push consumers). */
export const retryTopic = (consumerGroup: string): string => RETRY + consumerGroup

/** Where messages of a group end after their last attempt. */
export const deadLetterTopic = (consumerGroup: string): string => DLQ + consumerGroup

/** The topic that answers to request messages go to. */
export const replyTopic = (cluster: string): string => `${cluster}_REPLY_TOPIC`

/** The retry topic of pop consumers, receipts with retry flag 1. */
export const popRetryTopicV1 = (consumerGroup: string, topic: string): string =>
  `${RETRY}${consumerGroup}_${topic}`

/** The retry topic of pop consumers of brokers with enableRetryTopicV2, receipts with retry flag 2. */
export const popRetryTopicV2 = (consumerGroup: string, topic: string): string =>
  `${RETRY}${consumerGroup}+${topic}`

/** Topics that belong to the broker. */
export const isSystemTopic = (name: string): boolean =>
  /^(rmq_sys_|(TBW102|BenchmarkTest|OFFSET_MOVED_EVENT|SCHEDULE_TOPIC_XXXX|(RMQ_SYS_(TRACE|TRANS_HALF|TRANS_OP_HALF)|TRANS_CHECK_MAX_TIME|SELF_TEST|CHECKPOINT)_TOPIC)$)/.test(
    name,
  )

/** @throws ConfigError with the rule: 1 to 127 characters (255 with a retry or dead letter prefix) of `%|a-zA-Z0-9_-`. */
export const checkTopicName = (name: unknown, field = 'topic'): string => check(name, field, 127, 255)

/** @throws ConfigError with the rule: 1 to 120 characters of `%|a-zA-Z0-9_-`. */
export const checkGroupName = (name: unknown, field = 'consumerGroup'): string => check(name, field, 120, 120)

const check = (name: unknown, field: string, most: number, mostWithPrefix: number): string => {
  const text = checkText(field, name)
  const limit = text.length > most && prefixOf(text) ? mostWithPrefix : most
  if (text.length > limit || /[^%|\w-]/.test(text))
    refuse(
      field,
      `takes only letters, digits, % | _ - and at most ${limit} of them, got ${JSON.stringify(text.slice(0, 130))}`,
    )
  return text
}

/** `%RETRY%` or `%DLQ%` or nothing. */
const prefixOf = (resource: string): string => /^(%RETRY%|%DLQ%)?/.exec(resource)?.[0] ?? ''

const isSystem = (resource: string): boolean => isSystemTopic(resource) || resource.startsWith('CID_RMQ_SYS_')

/** `name` → `ns%name`, `%RETRY%group` → `%RETRY%ns%group`. Wrapped, system and empty names stay as they are. */
export const wrapNamespace = (namespace: string, resource: string): string => {
  const prefix = prefixOf(resource)
  const name = resource.slice(prefix.length)
  const own = `${namespace}%`
  return !namespace || !resource || isSystem(resource) || name.startsWith(own)
    ? resource
    : prefix + own + name
}

/** The reverse of `wrapNamespace`. A name of another namespace stays as it is. */
export const unwrapNamespace = (namespace: string, resource: string): string => {
  const prefix = prefixOf(resource)
  const start = `${prefix}${namespace}%`
  return namespace && !isSystem(resource) && resource.startsWith(start)
    ? prefix + resource.slice(start.length)
    : resource
}

/** The namespace that a name carries, or `''`. */
export const namespaceOf = (resource: string): string => {
  if (isSystem(resource)) return ''
  const name = resource.slice(prefixOf(resource).length)
  return name.slice(0, Math.max(0, name.indexOf('%')))
}

/** The "fast" port of a broker: the listen port less 2 (protocol.md 19). @throws ProtocolError when there is none. */
export const vipAddress = (address: string): string => {
  const { host, port } = parseHost(address)
  return formatHost(host, parseHost(`vip:${port - 2}`).port)
}
