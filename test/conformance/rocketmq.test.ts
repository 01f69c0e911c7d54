/** The conformance suite on Apache RocketMQ 5.5.0. */
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { featureSettings, startRocketMQ } from '../support/rocketmq/start.ts'
import { conformance } from './suite.ts'

if (await realBrokerAvailable()) {
  conformance(async () => {
    // A slow machine is no reason to refuse: brokers clean requests out of their queue after 200 ms.
    const settings = { ...featureSettings, waitTimeMillsInSendQueue: 20_000 }
    const rocketmq = await startRocketMQ({ settings })
    return {
      nameServers: rocketmq.nameServers,
      features: { sql92: true, recall: true },
      restart: async () => {
        for (const broker of rocketmq.brokers) await broker.restart()
      },
      stop: () => rocketmq.stop(),
    }
  })
}
