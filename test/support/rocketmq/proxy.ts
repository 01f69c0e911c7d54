/** The proxy of RocketMQ 5 in front of a cluster: its remoting port, which looks like a name server with one broker. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { installProxy } from './install.ts'
import { removeFolderAtExit, startJava } from './jvm.ts'
import { findPort } from './ports.ts'

const START_TIMEOUT_MS = 90_000

export interface RocketMQProxy {
  /** `host:port` of its remoting port. */
  readonly address: string
  stop(): Promise<void>
}

/** Starts a proxy and resolves when it says that it has started. */
export async function startProxy(nameServers: string): Promise<RocketMQProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-proxy-'))
  removeFolderAtExit(folder)
  const remotingListenPort = await findPort([0, 1])
  const configuration = {
    rocketMQClusterName: 'DefaultCluster',
    namesrvAddr: nameServers,
    proxyMode: 'CLUSTER',
    localServeAddr: '127.0.0.1',
    remotingListenPort,
    grpcServerPort: remotingListenPort + 1,
  }
  await mkdir(join(folder, 'conf'))
  await writeFile(join(folder, 'conf/rmq-proxy.json'), JSON.stringify(configuration))
  const logFile = join(folder, 'console.log')
  const java = await startJava({
    mainClass: 'org.apache.rocketmq.proxy.ProxyStartup',
    classPath: await installProxy(),
    args: ['-n', nameServers],
    jvm: ['-Xmx512m', '-XX:TieredStopAtLevel=1', `-Duser.home=${folder}`],
    env: { RMQ_PROXY_HOME: folder, ROCKETMQ_HOME: folder },
    logFile,
    cwd: folder,
  })
  const stop = async (): Promise<void> => {
    java.child.kill('SIGKILL')
    await java.wait()
  }
  const limit = Date.now() + START_TIMEOUT_MS
  while (!(await readFile(logFile, 'utf8')).includes('startup successfully')) {
    if (java.end === undefined && Date.now() < limit) {
      await delay(50)
      continue
    }
    await stop()
    throw new Error(`the proxy did not start (${java.end ?? 'out of time'}):\n${java.lastLines()}`)
  }
  return { address: `127.0.0.1:${remotingListenPort}`, stop }
}
