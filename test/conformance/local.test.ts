/** The conformance suite on the local broker: the same cases as on Apache RocketMQ. */
import { startBroker } from '../../src/testing/index.ts'
import { differences, unanswered } from './local-differences.ts'
import { conformance } from './suite.ts'
import { factsOf } from './versions.ts'

conformance(async () => {
  const broker = await startBroker({
    recall: true,
    transactionCheckInterval: 1000,
    transactionTimeOut: 1000,
  })
  return {
    nameServers: broker.nameServers,
    features: { sql92: false, recall: true },
    facts: factsOf('5.5.0'),
    differences,
    unanswered,
    restart: async () => {
      for (const each of broker.brokers) {
        await each.stop()
        await each.start()
      }
    },
    stop: () => broker.close(),
  }
})
