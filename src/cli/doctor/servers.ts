/** Name servers and brokers: whether each address answers from here, whether TLS fits, and whether the credentials are taken. */
import type { Client } from '../../client/client.ts'
import { GetBrokerConfig } from '../../commands/broker.ts'
import { type ClusterInfo, GetBrokerClusterInfo } from '../../commands/route.ts'
import { AuthError, BrokerError, ConnectError, RocketMQError } from '../../errors.ts'
import { type Finding, fail, ok, warn } from './options.ts'

const MASTER = 0

/** One address of a broker, and what it answered. */
export interface Reached {
  brokerName: string
  brokerId: number
  address: string
  /** Absent where it may not be read. */
  config?: Readonly<Record<string, string>>
  error?: RocketMQError
}

export async function checkNameServers(
  client: Client,
): Promise<{ findings: Finding[]; info: ClusterInfo | undefined }> {
  const answers = await Promise.all(
    client.nameServers.addresses.map((address) => askNameServer(client, address)),
  )
  return {
    findings: answers.map(({ finding }) => finding),
    info: answers.find(({ info }) => info !== undefined)?.info,
  }
}

async function askNameServer(
  client: Client,
  address: string,
): Promise<{ finding: Finding; info?: ClusterInfo }> {
  const check = `name server ${address}`
  try {
    const began = performance.now()
    const { body } = await client.network.call(address, GetBrokerClusterInfo, {}, undefined, {
      deadline: client.deadline(),
    })
    const names = [...body.brokerAddrTable.keys()]
    const ms = Math.round(performance.now() - began)
    if (names.length === 0)
      return {
        finding: fail(
          check,
          'knows no broker',
          'is a broker running, with this name server in its namesrvAddr?',
        ),
      }
    return { finding: ok(check, `answers in ${ms} ms; knows ${names.toSorted().join(', ')}`), info: body }
  } catch (error) {
    return { finding: fail(check, messageOf(error), fixOf(error, 'ROCKETMQ_NAMESRV_ADDR', 9876)) }
  }
}

/** Every address is asked for its settings: any answer shows that it can be reached. */
export async function reachBrokers(client: Client, info: ClusterInfo): Promise<Reached[]> {
  const places = [...info.brokerAddrTable.values()].flatMap(({ brokerName, brokerAddrs }) =>
    [...brokerAddrs].map(([brokerId, advertised]) => ({ brokerName, brokerId, advertised })),
  )
  return await Promise.all(
    places.map(async ({ brokerName, brokerId, advertised }) => {
      const about = { brokerName, brokerId, address: client.addresses.rewrite(advertised) }
      try {
        const limits = { deadline: client.deadline() }
        const { body } = await client.network.call(about.address, GetBrokerConfig, {}, undefined, limits)
        return { ...about, config: body }
      } catch (error) {
        if (!RocketMQError.is(error)) throw error
        return { ...about, error }
      }
    }),
  )
}

export function checkBrokers(reached: readonly Reached[]): Finding[] {
  const names = [...new Set(reached.map(({ brokerName }) => brokerName))]
  const orphans = names.filter(
    (name) => !reached.some(({ brokerName, brokerId }) => brokerName === name && brokerId === MASTER),
  )
  return [
    ...reached.map(({ brokerName, brokerId, address, error }) => {
      const check = `broker ${brokerName} ${address}`
      const role = brokerId === MASTER ? 'master' : `replica ${brokerId}`
      if (error === undefined || error instanceof BrokerError) return ok(check, `${role}, answers`)
      return fail(check, `${role}: ${messageOf(error)}`, fixOf(error, 'brokerIP1 of the broker', 10911))
    }),
    ...orphans.map((name) =>
      fail(
        `broker ${name}`,
        'has no master: nothing can be sent there',
        'start it again, or make a replica the master',
      ),
    ),
  ]
}

/** What the environment says of TLS; that it works is seen from those who answered. */
export function checkTls(reached: readonly Reached[]): Finding {
  const isOn = process.env['ROCKETMQ_TLS'] === 'true'
  const answered = reached.filter(({ error }) => error === undefined || error instanceof BrokerError).length
  if (isOn && answered === 0) return fail('TLS', 'on, and no broker answers', 'see the lines of the brokers')
  if (isOn) return ok('TLS', 'on, certificates are verified')
  if (!process.env['ROCKETMQ_ACCESS_KEY']) return ok('TLS', 'off')
  return warn(
    'TLS',
    'off: who sees the network can read messages, and repeat signed requests',
    'set ROCKETMQ_TLS=true',
  )
}

export function checkCredentials(reached: readonly Reached[]): Finding {
  const user = process.env['ROCKETMQ_ACCESS_KEY']
  const refused = reached.find(({ error }) => error instanceof AuthError && isOfIdentity(error))
  if (refused?.error && !user)
    return fail(
      'credentials',
      'none, and brokers want them',
      'set ROCKETMQ_ACCESS_KEY and ROCKETMQ_SECRET_KEY',
    )
  if (refused?.error)
    return fail(
      'credentials',
      messageOf(refused.error),
      `correct ROCKETMQ_ACCESS_KEY and ROCKETMQ_SECRET_KEY, or create the user`,
    )
  return ok('credentials', user ? `${user} is taken` : 'none, and brokers want none')
}

/** Of who it is, not of what they may do. */
const isOfIdentity = ({ remark }: BrokerError): boolean =>
  /username cannot be null|is not found|is disabled|signature|No acl config|No accessKey/i.test(remark)

const NEXT_STEP =
  /\.?; (check the (?:grants|credentials)|see timeoutMs|reachable from this subnet\?|RocketMQ \S+ lacks it \(docs\/brokers\.md\))$/
const REQUEST_CODE_NOT_SUPPORTED = 3

/** Without the next step: a finding has its own. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message.replace(NEXT_STEP, '') : String(error)

/** By the first thing to look at. */
function fixOf(error: unknown, setting: string, port: number): string {
  if (error instanceof ConnectError && /tls|certificate/i.test(error.message))
    return 'give the CA in ROCKETMQ_TLS_CA, and check the names in its certificate'
  if (error instanceof BrokerError && error.responseCode === REQUEST_CODE_NOT_SUPPORTED)
    return `that is a broker: ${setting} takes name servers`
  return `is it running, is the address right (${setting}), and is port ${port} open from here?`
}
