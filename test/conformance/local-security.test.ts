/** Access control of the local broker: the same cases as on Apache RocketMQ. */
import { startBroker } from '../../src/testing/index.ts'
import { accessControl, ROOT } from './access.ts'

accessControl('the local broker with users', async (users) => {
  const broker = await startBroker({ users: { root: { secretKey: ROOT.secretKey }, ...users } })
  const [master] = broker.brokers
  if (!master) throw new Error('no broker')
  return {
    nameServers: broker.nameServers,
    address: master.address,
    name: master.name,
    setUser: async (accessKey, user) => broker.setUser(accessKey, user),
    stop: () => broker.close(),
  }
})
