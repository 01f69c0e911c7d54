/** The conformance suite on Apache RocketMQ 5.5.0, or on the version that ROCKETMQ_VERSION names. */
import { ROCKETMQ_VERSION, realBrokerAvailable } from '../support/rocketmq/install.ts'
import { featureSettings, startRocketMQ } from '../support/rocketmq/start.ts'
import { conformance } from './suite.ts'
import { factsOf, olderOn, unansweredOn } from './versions.ts'

if (await realBrokerAvailable()) {
  conformance(async () => {
    // A slow machine is no reason to refuse: brokers clean requests out of their queue after 200 ms.
    const settings = { ...featureSettings, waitTimeMillsInSendQueue: 20_000 }
    const rocketmq = await startRocketMQ({ settings })
    return {
      nameServers: rocketmq.nameServers,
      features: { sql92: true, recall: true },
      facts: factsOf(ROCKETMQ_VERSION),
      instead: olderOn(ROCKETMQ_VERSION),
      unanswered: unansweredOn(ROCKETMQ_VERSION),
      restart: async () => {
        for (const broker of rocketmq.brokers) await broker.restart()
      },
      stop: () => rocketmq.stop(),
    }
  })
}
