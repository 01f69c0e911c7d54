/**
 * The clocks of brokers beside the one here. No answer has the time of a broker, but 28 has when it was started and how long ago that
 * was, to the second.
 */
import type { Client } from '../../client/client.ts'
import { GetBrokerRuntimeInfo } from '../../commands/broker.ts'
import { RocketMQError } from '../../errors.ts'
import { age } from '../output.ts'
import { type Finding, ok, warn } from './options.ts'
import type { Reached } from './servers.ts'

/** What `runtime` leaves out. */
const RESOLUTION_MS = 1_000
/** Below it nobody is harmed. */
const TOLERANCE_MS = 5_000

export async function checkClocks(client: Client, reached: readonly Reached[]): Promise<Finding[]> {
  const answering = reached.filter(({ config }) => config !== undefined)
  const findings = await Promise.all(
    answering.map(async ({ brokerName, address }) => {
      const check = `clock of ${brokerName} ${address}`
      const apart = await readSkew(client, address)
      if (apart === undefined) return []
      if (apart === 0) return [ok(check, `less than ${age(TOLERANCE_MS)} from the one here`)]
      return [
        warn(
          check,
          `${age(Math.abs(apart))} ${apart > 0 ? 'ahead of' : 'behind'} the one here`,
          'set both by NTP: places by time, ages of records, delays and pops are off by as much',
        ),
      ]
    }),
  )
  return findings.flat()
}

/** How far it is ahead at least, in ms; 0 below the tolerance, undefined where it cannot be told. */
async function readSkew(client: Client, address: string): Promise<number | undefined> {
  try {
    const sentAt = Date.now()
    const { body } = await client.network.call(address, GetBrokerRuntimeInfo, {}, undefined, {
      deadline: client.deadline(),
    })
    const answeredAt = Date.now()
    const time = timeOf(body.table)
    if (time === undefined) return undefined
    const [least, most] = [time - answeredAt, time + RESOLUTION_MS - sentAt]
    if (least > TOLERANCE_MS) return least
    return most < -TOLERANCE_MS ? most : 0
  } catch (error) {
    if (RocketMQError.is(error)) return undefined // not permitted, say: the rest is worth knowing without it
    throw error
  }
}

/** Epoch ms, by the broker's clock, rounded down to a second of its running. */
function timeOf({ bootTimestamp, runtime = '' }: Readonly<Record<string, string>>): number | undefined {
  const parts = /^\[ (\d+) days, (\d+) hours, (\d+) minutes, (\d+) seconds \]$/.exec(runtime)
  if (!parts || !/^\d{1,15}$/.test(bootTimestamp ?? '')) return undefined
  const [days, hours, minutes, seconds] = parts.slice(1).map(Number) as [number, number, number, number]
  return Number(bootTimestamp) + (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000
}
