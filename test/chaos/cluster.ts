/**
 * Real brokers and name servers, each behind a proxy of its own. Brokers listen on 127.0.0.1 and register under 127.0.0.2, where
 * their proxies listen on the same ports: what a name server tells leads through a proxy.
 */
import { join } from 'node:path'
import type { Random } from '../support/random.ts'
import { type RocketMQ, type Settings, startRocketMQ } from '../support/rocketmq/start.ts'
import { type FaultProxy, startProxy } from './proxy.ts'

const INSIDE = '127.0.0.1'
const OUTSIDE = '127.0.0.2'

export interface ChaosCluster {
  rocketmq: RocketMQ
  /** Of the name servers, behind their proxies. */
  nameServers: string
  /** By the names of brokers, and `name server 1`. */
  proxies: Readonly<Record<string, FaultProxy>>
  /** Where the brokers really listen, by name. */
  direct: Readonly<Record<string, string>>
  createTopic(topic: string, queues: number): Promise<void>
  stop(): Promise<void>
}

export async function startCluster(
  { brokers, nameServers, settings }: { brokers: number; nameServers: number; settings: Settings },
  folder: string,
  random: Random,
): Promise<ChaosCluster> {
  const rocketmq = await startRocketMQ({
    nameServers,
    brokers: Array.from({ length: brokers }, () => ({})),
    brokerIP1: OUTSIDE,
    settings: { ...settings, bindAddress: INSIDE },
  })
  const proxies: Record<string, FaultProxy> = {}
  const stop = async (): Promise<void> => {
    await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
    await rocketmq.stop()
  }
  const open = async (name: string, port: number, target: number): Promise<FaultProxy> => {
    const recording = join(folder, `${name.replaceAll(' ', '-')}.bytes`)
    const proxy = await startProxy({
      host: OUTSIDE,
      port,
      target: { host: INSIDE, port: target },
      random,
      recording,
    })
    proxies[name] = proxy
    return proxy
  }
  try {
    for (const { name, address } of rocketmq.brokers) await open(name, portOf(address), portOf(address))
    const outside: string[] = []
    for (const [index, address] of rocketmq.nameServers.split(';').entries())
      outside.push((await open(`name server ${index}`, 0, portOf(address))).address)
    return {
      rocketmq,
      nameServers: outside.join(';'),
      proxies,
      direct: Object.fromEntries(
        rocketmq.brokers.map(({ name, address }) => [name, `${INSIDE}:${portOf(address)}`]),
      ),
      async createTopic(topic, queues) {
        const counts = ['-r', `${queues}`, '-w', `${queues}`]
        await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', topic, ...counts)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))
