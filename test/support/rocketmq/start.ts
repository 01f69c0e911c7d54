/**
 * A real Apache RocketMQ for tests and for `npm run rocketmq`: name servers and brokers as child processes, each with
 * its own ports and its own folder under the system's temporary folder. All of it ends with `stop()`, and at the
 * latest with this process (jvm.ts).
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installRocketMQ } from './install.ts'
import { removeFolderAtExit, startJava } from './jvm.ts'
import { findPort } from './ports.ts'
import { isRegistered } from './registration.ts'
import { createServer, PortTakenError, type Server, type Settings, writeLogging } from './server.ts'

export type { Settings } from './server.ts'

/** Switches on what a broker as shipped has off, and makes transaction checks and offset flushes quick. */
export const featureSettings: Settings = {
  enablePropertyFilter: true,
  recallMessageEnable: true,
  transactionCheckInterval: 1000,
  transactionTimeOut: 1000,
  flushConsumerOffsetInterval: 1000,
}

/** Switches on authentication and authorization, with one user who may do everything. Pass the same to `administrator`. */
export function authSettings({ accessKey, secretKey }: Administrator): Settings {
  const auth = 'org.apache.rocketmq.auth'
  return {
    authenticationEnabled: true,
    authenticationProvider: `${auth}.authentication.provider.DefaultAuthenticationProvider`,
    authenticationMetadataProvider: `${auth}.authentication.provider.LocalAuthenticationMetadataProvider`,
    initAuthenticationUser: JSON.stringify({ username: accessKey, password: secretKey }),
    innerClientAuthenticationCredentials: JSON.stringify({ accessKey, secretKey }),
    authorizationEnabled: true,
    authorizationProvider: `${auth}.authorization.provider.DefaultAuthorizationProvider`,
    authorizationMetadataProvider: `${auth}.authorization.provider.LocalAuthorizationMetadataProvider`,
  }
}

export interface Administrator {
  accessKey: string
  secretKey: string
}

export interface BrokerOptions {
  /** @default "broker-a", "broker-b", … */
  name?: string
  /** Replicas have the name of their master. @default "ASYNC_MASTER" */
  role?: 'ASYNC_MASTER' | 'SYNC_MASTER' | 'SLAVE'
  /** @default 0 of a master, 1 of a replica */
  brokerId?: number
  /** Lines of broker.conf for this broker. */
  settings?: Settings
  /** @default a free one */
  port?: number
}

export interface RocketMQOptions {
  /** How many name servers; brokers register with all of them. @default 1 */
  nameServers?: number
  /** The port of the first name server. @default a free one */
  nameServerPort?: number
  /** @default one master */
  brokers?: readonly BrokerOptions[]
  /** Lines of broker.conf for every broker. @default {}: as shipped, but with small files */
  settings?: Settings
  /** Lines of namesrv.conf. */
  nameServerSettings?: Settings
  /** The text of plain_acl.yml: access control before 5.3, with the setting aclEnable. */
  plainAcl?: string
  /** Who signs the requests of mqadmin. @default nobody */
  administrator?: Administrator
  /** The host that brokers register under. @default "127.0.0.1" */
  brokerIP1?: string
  /** @default "DefaultCluster" */
  clusterName?: string
  /**
   * Compile Java code with the optimizing compiler: 1 s slower to start, much faster under load. For benches.
   * @default false
   */
  optimized?: boolean
  /** More JVM flags for brokers. */
  jvm?: readonly string[]
}

/** A running broker. Stopped, killed and started again it keeps its address and its store. */
export interface Broker extends Server {
  readonly name: string
  /** `host:port`, as registered; another one after a restart on another port. */
  readonly address: string
  /** Its folder: `store`, `logs/rocketmqlogs`, `server.conf`. */
  readonly folder: string
  /** Ends it (SIGTERM, or SIGKILL with `kill`) and starts it on the same store, with changed settings or on another port. */
  restart(options?: { kill?: boolean; settings?: Settings; port?: number }): Promise<void>
}

export interface RocketMQ {
  /** `host:port`, several separated by `;`: what a client takes as `nameServers`. */
  readonly nameServers: string
  readonly nameServerProcesses: readonly Server[]
  readonly brokers: readonly Broker[]
  /** PEM file of the certificate of all servers (localhost, 127.0.0.1, ::1); absent where openssl is missing. */
  readonly certificatePath: string | undefined
  /** Runs one command of mqadmin (1 to 2 s) and resolves to what it printed. Rejects when it failed. */
  mqadmin(command: string, ...args: string[]): Promise<string>
  /** Kills every process and removes the stores. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Files are sparse, but some file systems fill them; and a full disk of the machine is no reason to refuse messages, nor is
 * that it was busy: what has waited longer than 200 ms brokers answer with code 2, unless told otherwise.
 */
const SMALL_STORE: Settings = {
  mappedFileSizeCommitLog: 64 << 20,
  diskMaxUsedSpaceRatio: 95,
  waitTimeMillsInSendQueue: 20_000,
}
const ANY_DISK = [
  '-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99',
  '-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98',
]
/** What 4.x reaches for when it unmaps its files; without it, it does not come up again after a stop. */
const OPEN_JAVA = [
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
  '--add-opens=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED',
]
/** Serial collector and first-tier compiler: half the start-up time and two thirds of the memory. */
const QUICK_START = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

/** Starts RocketMQ and resolves when every broker is registered with every name server: about 5 s. */
export async function startRocketMQ(options: RocketMQOptions = {}): Promise<RocketMQ> {
  const { tls } = await installRocketMQ()
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-'))
  removeFolderAtExit(folder)
  const tlsFlags = tls
    ? [
        '-Dtls.test.mode.enable=false',
        `-Dtls.server.certPath=${tls.certPath}`,
        `-Dtls.server.keyPath=${tls.keyPath}`,
      ]
    : []
  const flags = [...(options.optimized ? [] : QUICK_START), ...OPEN_JAVA, ...ANY_DISK, ...tlsFlags]
  const servers: Server[] = []
  const brokers: Broker[] = []
  const stop = async (): Promise<void> => {
    await Promise.all([...servers, ...brokers].map((server) => server.kill()))
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    if (options.administrator) await writeToolsFile(folder, options.administrator)
    const addresses: string[] = []
    for (let index = 0; index < (options.nameServers ?? 1); index++) {
      const { server, address } = await startNameServer(
        options,
        join(folder, `namesrv-${index}`),
        index,
        flags,
      )
      servers.push(server)
      addresses.push(address)
    }
    const plans = (options.brokers ?? [{}]).map((broker, index) => ({ name: nthName(index), ...broker }))
    // Replicas come after their masters, whose address they get from the name server.
    for (const replicas of [false, true]) {
      const group = plans.filter((plan) => (plan.role === 'SLAVE') === replicas)
      const started = await Promise.allSettled(
        group.map((plan) => startBroker(options, plan, folder, addresses, flags, brokers)),
      )
      for (const result of started) if (result.status === 'rejected') throw result.reason
    }
    const nameServers = addresses.join(';')
    return {
      nameServers,
      nameServerProcesses: servers,
      brokers: brokers.sort((a, b) => (a.folder < b.folder ? -1 : 1)),
      certificatePath: tls?.certPath,
      mqadmin: (command, ...args) => mqadmin(folder, nameServers, [command, ...args]),
      stop,
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function nthName(index: number): string {
  return `broker-${String.fromCharCode(97 + index)}`
}

async function startNameServer(
  options: RocketMQOptions,
  folder: string,
  index: number,
  flags: readonly string[],
): Promise<{ server: Server; address: string }> {
  const fixed = index === 0 ? options.nameServerPort : undefined
  return retryPorts(fixed, [0], async (port) => {
    const server = createServer({
      label: `name server ${index} (port ${port})`,
      mainClass: 'org.apache.rocketmq.namesrv.NamesrvStartup',
      folder,
      settings: { ...options.nameServerSettings, listenPort: port },
      jvm: ['-Xmx256m', '-Xms64m', ...flags],
    })
    await server.start()
    return { server, address: `127.0.0.1:${port}` }
  })
}

/** The started broker is added to `brokers`, also when it failed, so that it can be stopped. */
async function startBroker(
  options: RocketMQOptions,
  plan: BrokerOptions & { name: string },
  parent: string,
  nameServers: readonly string[],
  flags: readonly string[],
  brokers: Broker[],
): Promise<void> {
  const { name, role = 'ASYNC_MASTER' } = plan
  const brokerId = plan.brokerId ?? (role === 'SLAVE' ? 1 : 0)
  const host = options.brokerIP1 ?? '127.0.0.1'
  const folder = join(parent, brokerId === 0 ? name : `${name}-${brokerId}`)
  // A broker also listens at port - 2 (the "VIP" port) and port + 1 (replication).
  await retryPorts(plan.port, [-2, 0, 1], async (port) => {
    let address = `${host}:${port}`
    const server = createServer({
      label: `broker ${name} (port ${port})`,
      mainClass: 'org.apache.rocketmq.broker.BrokerStartup',
      folder,
      settings: {
        ...SMALL_STORE,
        brokerClusterName: options.clusterName ?? 'DefaultCluster',
        brokerName: name,
        brokerId,
        brokerRole: role,
        brokerIP1: host,
        brokerIP2: host,
        listenPort: port,
        namesrvAddr: nameServers.join(';'),
        storePathRootDir: join(folder, 'store'),
        ...options.settings,
        ...plan.settings,
      },
      jvm: ['-Xmx1g', '-Xms256m', '-XX:MaxDirectMemorySize=1g', ...flags, ...(options.jvm ?? [])],
      isReady: async () =>
        (await Promise.all(nameServers.map((each) => isRegistered(each, address)))).every(Boolean),
    })
    if (options.plainAcl !== undefined) {
      await mkdir(join(folder, 'conf'), { recursive: true })
      await writeFile(join(folder, 'conf/plain_acl.yml'), options.plainAcl)
    }
    const restart: Broker['restart'] = async ({ kill = false, settings, port: other } = {}) => {
      await (kill ? server.kill() : server.stop())
      if (other !== undefined) address = `${host}:${other}`
      await server.start({ ...settings, ...(other !== undefined && { listenPort: other }) })
    }
    const own = {
      name,
      get address() {
        return address
      },
      folder,
      restart,
    }
    const broker = Object.defineProperties(own, Object.getOwnPropertyDescriptors(server)) as Broker
    brokers.push(broker)
    try {
      await server.start()
    } catch (error) {
      brokers.splice(brokers.indexOf(broker), 1)
      await server.kill()
      throw error
    }
  })
}

/** Tries other ports when the chosen ones were taken in the meantime; a port that the caller fixed is tried once. */
async function retryPorts<T>(
  fixed: number | undefined,
  offsets: readonly number[],
  start: (port: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(fixed ?? (await findPort(offsets)))
    } catch (error) {
      if (!(error instanceof PortTakenError) || fixed !== undefined || attempt === 5) throw error
    }
  }
}

/** Where mqadmin reads its credentials. */
async function writeToolsFile(folder: string, { accessKey, secretKey }: Administrator): Promise<void> {
  await mkdir(join(folder, 'conf'), { recursive: true })
  const yaml = `accessKey: ${JSON.stringify(accessKey)}\nsecretKey: ${JSON.stringify(secretKey)}\n`
  await writeFile(join(folder, 'conf/tools.yml'), yaml)
}

/**
 * Runs one command of mqadmin with `folder` as its home. It always exits with 0; a stack trace or its help text is how it
 * says that it failed.
 */
export async function mqadmin(folder: string, nameServers: string, args: readonly string[]): Promise<string> {
  writeLogging(folder)
  const { child, wait } = await startJava({
    mainClass: 'org.apache.rocketmq.tools.command.MQAdminStartup',
    args,
    jvm: ['-Xmx256m', ...QUICK_START, `-Duser.home=${folder}`, `-Djava.io.tmpdir=${folder}`],
    env: { NAMESRV_ADDR: nameServers, ROCKETMQ_HOME: folder },
    cwd: folder,
  })
  let printed = ''
  child.stdin?.end()
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text) => (printed += text))
  const drained = new Promise((resolve) => child.once('close', resolve))
  const end = await wait()
  await drained
  const output = printed.replace(/^.* \|-(?:INFO|WARN) in .*\n/gm, '')
  if (
    end !== 'exit code 0' ||
    /^\s+at org\.apache\.|^usage: mqadmin|^The sub command .* not exist/m.test(output)
  ) {
    throw new Error(`mqadmin ${args.join(' ')} failed (${end}):\n${output}`)
  }
  return output
}
