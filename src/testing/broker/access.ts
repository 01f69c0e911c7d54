/**
 * Access control of the local broker: users, the signatures of their requests, and what they are granted (protocol.md 18.1;
 * upstream DefaultAuthenticationHandler, AclAuthorizationHandler, DefaultAuthorizationContextBuilder). Name servers have none.
 */
import { timingSafeEqual } from 'node:crypto'
import { HeartBeat } from '../../commands/heartbeat.ts'
import { LockBatchMQ } from '../../commands/locks.ts'
import { ConfigError } from '../../errors.ts'
import { checkArray, checkChoice, checkObject, checkText } from '../../wire/checks.ts'
import type { Frame } from '../../wire/frame.ts'
import { retryTopic } from '../../wire/names.ts'
import { sign } from '../../wire/signature.ts'

/** What a user may do with a resource; `All` is every one of them. */
export type LocalAction = 'Pub' | 'Sub' | 'Get' | 'Create' | 'Update' | 'Delete' | 'List' | 'All'

export interface LocalUser {
  /** Its requests are signed with it. */
  secretKey: string
  /**
   * Actions by resource: `{ 'Topic:orders': ['Pub'], 'Group:bill*': ['Sub'] }`. `Topic:*` is every topic, `*` everything.
   * @default everything, as a super user
   */
  grants?: Readonly<Record<string, readonly LocalAction[]>> | undefined
  /** Known, and refused. @default false */
  disabled?: boolean | undefined
}

const ACTION_NAMES: readonly LocalAction[] = [
  'Pub',
  'Sub',
  'Get',
  'Create',
  'Update',
  'Delete',
  'List',
  'All',
]

/** By request code; any of several is enough. What is not here is open to whoever is known. */
const ACTIONS: Readonly<Record<number, readonly LocalAction[]>> = {
  10: ['Pub'],
  11: ['Sub'],
  12: ['Sub', 'Get'],
  14: ['Sub', 'Get'],
  15: ['Sub', 'Update'],
  17: ['Create'],
  29: ['Get'],
  30: ['Get'],
  31: ['Get'],
  32: ['Get'],
  33: ['Get'],
  34: ['Sub'],
  35: ['Sub'],
  36: ['Sub'],
  37: ['Pub'],
  38: ['Sub', 'Get'],
  41: ['Sub'],
  42: ['Sub'],
  202: ['Get'],
  203: ['Get'],
  204: ['Get'],
  207: ['Delete'],
  208: ['Get'],
  215: ['Delete'],
  222: ['Update'],
  300: ['Get'],
  307: ['Get'],
  309: ['Sub'],
  310: ['Pub'],
  320: ['Pub'],
  351: ['Get'],
  352: ['Get'],
  370: ['Pub'],
  200050: ['Sub'],
  200051: ['Sub'],
  200052: ['Sub'],
  200053: ['Sub'],
  200054: ['Sub'],
  200055: ['Get'],
}
const HEART_BEAT = 34
const LOCKS = [41, 42]
const PRODUCER_CONNECTIONS = 204
/** Their topic is looked at first, that of others after the group. */
const TOPIC_FIRST = [11, 14, 15, 200052]

/** Some have another name for each: 310 has one letter, 207 `groupName`, 36 and 222 `group`. */
const topicOf = ({ ext }: Frame): string | undefined => ext['topic'] || ext['b']
const groupOf = ({ ext }: Frame): string | undefined =>
  ext['consumerGroup'] || ext['groupName'] || ext['group']

const topicResource = (topic: string): string => {
  const prefix = retryTopic('')
  return topic.startsWith(prefix) ? `Group:${topic.slice(prefix.length)}` : `Topic:${topic}`
}

/** What a request wants to use, in the order in which it is looked at. */
function resourcesOf(frame: Frame, clusterName: string): string[] {
  const { code, body } = frame
  if (code === PRODUCER_CONNECTIONS) return [`Cluster:${clusterName}`]
  if (code === HEART_BEAT)
    return HeartBeat.requestBody
      .decode(body)
      .consumerDataSet.flatMap(({ groupName, subscriptionDataSet }) => [
        `Group:${groupName}`,
        ...subscriptionDataSet.map(({ topic }) => topicResource(topic)),
      ])
  if (LOCKS.includes(code)) {
    const { consumerGroup, mqSet } = LockBatchMQ.requestBody.decode(body)
    return [`Group:${consumerGroup}`, ...mqSet.map(({ topic }) => topicResource(topic))]
  }
  const [topic, group] = [topicOf(frame), groupOf(frame)]
  const resources = [group && `Group:${group}`, topic && topicResource(topic)]
  if (TOPIC_FIRST.includes(code)) resources.reverse()
  return resources.filter((each) => each !== undefined && each !== '') as string[]
}

export class AccessControl {
  readonly #clusterName: string
  readonly #users = new Map<string, LocalUser>()
  /** Stays true when the last user is gone: nobody may then do anything. */
  #isOn = false

  constructor(clusterName: string) {
    this.#clusterName = clusterName
  }

  /** From the first one on every request must be signed. */
  set(accessKey: string, user: LocalUser | undefined): void {
    checkText('accessKey', accessKey)
    if (user === undefined) this.#users.delete(accessKey)
    else this.#users.set(accessKey, checkUser(`users.${accessKey}`, user))
    this.#isOn = true
  }

  turnOn(): void {
    this.#isOn = true
  }

  /** Why a request is refused with code 16; undefined when it is not. */
  refuse(frame: Frame, remote: string): string | undefined {
    if (!this.#isOn) return undefined
    const accessKey = frame.ext['AccessKey'] ?? ''
    if (accessKey === '') return 'username cannot be null.'
    const user = this.#users.get(accessKey)
    if (!user) return `User:${accessKey} is not found.`
    if (user.disabled) return `User:${accessKey} is disabled.`
    if (!isSigned(frame, user)) return 'check signature failed.'
    const { grants } = user
    if (!grants) return undefined
    const ip = remote.slice(0, remote.lastIndexOf(':'))
    try {
      const missing = resourcesOf(frame, this.#clusterName).find(
        (resource) => !allows(grants, resource, actionsOf(frame, resource)),
      )
      return (
        missing && `User:${accessKey} has no permission to access ${missing} from ${ip}, no matched policies.`
      )
    } catch {
      return 'parse authorization context error.'
    }
  }
}

/** What is sent to a retry topic is the work of its group. */
const actionsOf = ({ code }: Frame, resource: string): readonly LocalAction[] => {
  const actions = ACTIONS[code] ?? []
  return resource.startsWith('Group:') && actions.includes('Pub') ? ['Sub'] : actions
}

/** Of several patterns that fit Apache's takes the closest that grants one of the actions: as there is no Deny here, any does. */
function allows(
  grants: NonNullable<LocalUser['grants']>,
  resource: string,
  wanted: readonly LocalAction[],
): boolean {
  if (wanted.length === 0) return true
  return Object.entries(grants).some(
    ([pattern, actions]) =>
      (pattern.endsWith('*') ? resource.startsWith(pattern.slice(0, -1)) : resource === pattern) &&
      (actions.includes('All') || wanted.some((action) => actions.includes(action))),
  )
}

function isSigned({ ext, body }: Frame, { secretKey }: LocalUser): boolean {
  const given = Buffer.from(ext['Signature'] ?? '')
  const right = Buffer.from(sign(secretKey, ext, body))
  return given.length === right.length && timingSafeEqual(given, right)
}

function checkUser(field: string, user: LocalUser): LocalUser {
  const { secretKey, grants, disabled, ...rest } = checkObject(field, user)
  for (const name of Object.keys(rest))
    throw new ConfigError(`${field}.${name}`, 'is not of a user; there are secretKey, grants, disabled')
  checkText(`${field}.secretKey`, secretKey)
  if (disabled !== undefined) checkChoice(`${field}.disabled`, disabled, true, false)
  if (grants === undefined) return { secretKey, disabled }
  for (const [resource, actions] of Object.entries(checkObject(`${field}.grants`, grants))) {
    if (!/^(\*|(Topic|Group|Cluster):.+)$/.test(resource))
      throw new ConfigError(`${field}.grants`, `takes Topic:…, Group:…, Cluster:… or *, got ${resource}`)
    for (const action of checkArray(`${field}.grants.${resource}`, actions))
      checkChoice(`${field}.grants.${resource}`, action as LocalAction, ...ACTION_NAMES)
  }
  return { secretKey, disabled, grants }
}
