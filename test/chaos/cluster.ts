/**
 * Real brokers, replicas and name servers, each behind a proxy of its own. Brokers listen on 127.0.0.1 and register under 127.0.0.2, where
 * their proxies listen on the same ports: what a name server tells leads through a proxy.
 */
import { basename, join } from 'node:path'
import type { Random } from '../support/random.ts'
import type { Server } from '../support/rocketmq/server.ts'
import { type Broker, type Settings, startRocketMQ } from '../support/rocketmq/start.ts'
import { type FaultProxy, startProxy } from './proxy.ts'

const INSIDE = '127.0.0.1'
const OUTSIDE = '127.0.0.2'

export interface ChaosCluster {
  /** By the names of masters, `replica of broker-a` and `name server 1`. */
  servers: Readonly<Record<string, Server>>
  /** The names of masters. */
  brokers: readonly string[]
  /** Of the name servers, behind their proxies. */
  nameServers: string
  /** By the same names. */
  proxies: Readonly<Record<string, FaultProxy>>
  /** Where masters really listen, by name. */
  direct: Readonly<Record<string, string>>
  createTopic(topic: string, queues: number): Promise<void>
  stop(): Promise<void>
}

export interface ClusterOptions {
  brokers: number
  /** Whether the first broker has one. */
  replica?: boolean
  nameServers: number
  settings: Settings
}

export async function startCluster(
  { brokers, replica = false, nameServers, settings }: ClusterOptions,
  folder: string,
  random: Random,
): Promise<ChaosCluster> {
  const rocketmq = await startRocketMQ({
    nameServers,
    brokers: [
      ...Array.from({ length: brokers }, () => ({})),
      ...(replica ? [{ name: 'broker-a', role: 'SLAVE' as const }] : []),
    ],
    brokerIP1: OUTSIDE,
    settings: { ...settings, bindAddress: INSIDE },
  })
  const masters = rocketmq.brokers.filter((each) => !isReplica(each))
  const nameOf = (broker: Broker): string => (isReplica(broker) ? `replica of ${broker.name}` : broker.name)
  const servers: Record<string, Server> = Object.fromEntries([
    ...rocketmq.brokers.map((each) => [nameOf(each), each]),
    ...rocketmq.nameServerProcesses.map((each, index) => [`name server ${index}`, each]),
  ])
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
    for (const each of rocketmq.brokers) await open(nameOf(each), portOf(each.address), portOf(each.address))
    const outside: string[] = []
    for (const [index, address] of rocketmq.nameServers.split(';').entries())
      outside.push((await open(`name server ${index}`, 0, portOf(address))).address)
    return {
      servers,
      brokers: masters.map(({ name }) => name),
      nameServers: outside.join(';'),
      proxies,
      direct: Object.fromEntries(masters.map(({ name, address }) => [name, `${INSIDE}:${portOf(address)}`])),
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

/** Its folder has its id behind its name. */
const isReplica = ({ name, folder }: Broker): boolean => basename(folder) !== name

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))
