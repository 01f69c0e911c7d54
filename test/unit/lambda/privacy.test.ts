/**
 * What a mapping tells by itself holds nothing of what it carries: in every mode and for every way to fail, no log line of
 * any level, no metric and no message of node:diagnostics_channel has a body, key, property or credential.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from '../../../src/index.ts'
import { eventSource } from '../../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { allOf, CANARY, found } from '../../support/canary.ts'
import { listening } from '../../support/silence.ts'
import { SILENT_MAPPINGS, sendHidden } from '../../support/silent-mappings.ts'

describe('no body, key, property or credential is told by', () => {
  for (const [what, handle, options] of SILENT_MAPPINGS) {
    for (const isUndecodable of [false, true]) {
      it(isUndecodable ? `${what}, behind a record that cannot be decoded` : what, async (t) => {
        await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
        const client = createClient({
          nameServers: broker.nameServers,
          credentials: {
            accessKey: `${CANARY}-access`,
            secretKey: `${CANARY}-secret`,
            securityToken: `${CANARY}-token`,
          },
        })
        t.after(() => client.close())
        const { logger, told } = listening(t)
        await sendHidden(client, { topic: 'orders', brokerName: 'broker-a', queueId: 0 }, isUndecodable)
        const handler = eventSource(
          { topic: 'orders', consumerGroup: 'billing', client, logger, metrics: true, ...options },
          handle as never,
        )

        const context = { ...lambdaContext({ remainingMs: 3_500 }) }
        await handler(scheduledEvent(), context).catch(() => undefined)

        const text = allOf(told)
        assert.ok(text.includes('consumed') && text.includes('PolledEventCount') === !('dryRun' in options))
        assert.deepStrictEqual(found(text), [], text)
      })
    }
  }
})
