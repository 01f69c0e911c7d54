/**
 * Which masters an administrator's call goes to, and how it goes to all of them (upstream CommandUtil.fetchMasterAddrByClusterName
 * and the loops of DefaultMQAdminExtImpl). Each request concerns one broker, so a call may be done by some and not by others:
 * then a PartialError says where.
 */
import type { Command } from '../../commands/define.ts'
import { type BrokerData, GetBrokerClusterInfo } from '../../commands/route.ts'
import { BrokerError, ConnectError, PartialError, type Place, RocketMQError } from '../../errors.ts'
import type { CallOptions, Deadline } from '../../net/deadline.ts'
import type { Answer } from '../../net/network.ts'
import type { Route } from '../../routing/routes.ts'
import { refuse } from '../../wire/checks.ts'
import type { Client } from '../client.ts'
import { checkKeys } from '../options.ts'

/** The master of a broker name. */
export interface Master extends Place {
  brokerName: string
  cluster: string
}

/** Which brokers a call goes to. */
export interface Where extends CallOptions {
  /** The masters of one cluster. @default the only one; where there are several it must be named */
  cluster?: string | undefined
  /** One broker only. @default all of the cluster */
  brokerName?: string | undefined
}

/** What one master answered. */
export interface From<T> extends Master {
  value: T
}

/** Refuses misspelt options of a call, for those who would otherwise change something elsewhere than was meant. */
export const checkWhere = (what: string, where: Where, ...more: readonly string[]): void =>
  checkKeys(what, where, ['cluster', 'brokerName', 'signal', 'deadlineMs', ...more])

/** Every broker that is registered, by its name; replicas of one name together. @throws ConnectError when there is none */
export const findBrokers = async (client: Client, deadline: Deadline): Promise<BrokerData[]> => {
  const { body } = await client.nameServers.call(GetBrokerClusterInfo, {}, undefined, deadline)
  const brokers = [...body.brokerAddrTable.values()]
  return brokers.toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
}

/** @throws ConnectError when no master is registered */
export const findMasters = async (client: Client, deadline: Deadline): Promise<Master[]> => {
  const masters = mastersAmong(client, await findBrokers(client, deadline))
  if (masters.length === 0) throw new ConnectError('no master is registered; is a broker running?')
  return masters
}

const mastersAmong = (client: Client, brokers: readonly BrokerData[]): Master[] =>
  brokers.flatMap(({ brokerName, cluster, brokerAddrs }) => {
    const advertised = brokerAddrs.get(0)
    if (advertised === undefined) return []
    return [{ brokerName, cluster, address: client.addresses.rewrite(advertised) }]
  })

/** The masters that were meant. @throws ConfigError for a cluster or a broker that is not there, or where several are and none is named */
export const chooseMasters = async (
  client: Client,
  { cluster, brokerName }: Where,
  deadline: Deadline,
  isEverywhere?: boolean,
): Promise<Master[]> => {
  const all = await findMasters(client, deadline)
  const clusters = [...new Set(all.map((each) => each.cluster))]
  if (cluster !== undefined && !clusters.includes(cluster))
    refuse('cluster', `there is no ${cluster}, but ${clusters.join(', ')}`)
  const own = all.filter((each) => cluster === undefined || each.cluster === cluster)
  if (brokerName !== undefined) {
    const named = own.filter((each) => each.brokerName === brokerName)
    if (named.length > 0) return named
    refuse(
      'brokerName',
      `there is no master of ${brokerName}, but ${own.map((each) => each.brokerName).join(', ')}`,
    )
  }
  if (!isEverywhere && cluster === undefined && clusters.length > 1)
    refuse('cluster', `must be one of ${clusters.join(', ')}`)
  return own
}

/** The route as it is now, not as it was a while ago: queues may have been added by the same administrator. */
export const freshRoute = async (client: Client, topic: string, deadline: Deadline): Promise<Route> => {
  client.routes.forget(await client.route(topic, deadline))
  return await client.route(topic, deadline)
}

/** One request to one master. */
export const callMaster = <Q, S, QB, SB>(
  client: Client,
  { address }: Place,
  command: Command<Q, S, QB, SB>,
  request: Q,
  body: QB,
  deadline: Deadline,
  topic?: string,
): Promise<Answer<S, SB>> =>
  client.network.call(address, command, request, body, { deadline, topic, once: true })

/**
 * Does the same at every place, all at once.
 * @param what for the text of the error: "deleting topic orders"
 * @throws what failed, when nothing was done anywhere; else a PartialError
 */
export const onEach = async <P extends Place, T>(
  what: string,
  places: readonly P[],
  run: (place: P) => Promise<T>,
  isRead?: boolean,
): Promise<(P & { value: T })[]> => {
  const results = await Promise.all(
    places.map(async (place) => {
      try {
        return { ...place, value: await run(place) }
      } catch (error) {
        return { place, error }
      }
    }),
  )
  const done = results.filter((each) => !('error' in each)) as (P & { value: T })[]
  const failed = results.flatMap((each) => ('error' in each ? [{ ...each.place, error: each.error }] : []))
  if (failed.length > 0) throw failureOf(what, done.map(placeOf), failed, isRead)
  return done
}

/** Reads the same at every place. Nothing is done in part then, but some may not have answered. @param what "topic orders" */
export const readEach = <P extends Place, T>(
  what: string,
  places: readonly P[],
  run: (place: P) => Promise<T>,
): Promise<(P & { value: T })[]> => onEach(`reading ${what}`, places, run, true)

/** One failure of several, where some may be done. */
export const failureOf = (
  what: string,
  done: readonly Place[],
  failed: readonly (Place & { error: unknown })[],
  isRead?: boolean,
): unknown => {
  const [first] = failed.toSorted((a, b) => weightOf(b.error) - weightOf(a.error))
  if (done.length === 0 || !first) return first?.error
  const named = (places: readonly Place[]): string => places.map(nameOf).join(', ')
  const reasons = failed.map(({ error }) => (error as Error).message).join('; ')
  const { topic, responseCode } = first.error as RocketMQError
  const [was, by, note] = isRead ? ['answered', 'by', ''] : ['done', 'on', ', what is done stays done']
  return new PartialError(
    `${what} was ${was} ${by} ${named(done)}, not ${by} ${named(failed)}: ${reasons}; repeat it${note}`,
    {
      done,
      failed: failed.map((each) => ({ ...placeOf(each), error: each.error })),
      retryable: failed.every(({ error }) => error instanceof RocketMQError && error.retryable),
      // In part it was done, so that no other word would be true; `failed` has what is known of each.
      outcome: isRead ? undefined : 'unknown',
      topic,
      responseCode,
      cause: first.error,
    },
  )
}

/** The error that says most of several: one whose outcome is not known before one that was refused. */
const weightOf = (error: unknown): number =>
  ['not-sent', 'refused', 'unknown'].indexOf((error as Partial<RocketMQError>)?.outcome ?? 'refused')

const nameOf = ({ brokerName, address, queue }: Place): string =>
  `${brokerName ?? 'name server'}${queue ? `/${queue.queueId}` : ''} (${address})`

const placeOf = ({ brokerName, address, queue }: Place): Place => ({
  ...(brokerName === undefined ? {} : { brokerName }),
  address,
  ...(queue ? { queue } : {}),
})

const REQUEST_CODE_NOT_SUPPORTED = 3

/** Of a broker that is older than the request. */
export const isUnsupported = (error: unknown): boolean =>
  error instanceof BrokerError && error.responseCode === REQUEST_CODE_NOT_SUPPORTED

/** The answer to a request, or undefined when the broker said that there is no such thing. */
export const unlessMissing = async <T>(
  answer: Promise<T>,
  ...codes: readonly number[]
): Promise<T | undefined> => {
  try {
    return await answer
  } catch (error) {
    if (error instanceof BrokerError && codes.includes(error.responseCode ?? 0)) return undefined
    throw error
  }
}
