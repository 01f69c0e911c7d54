/** The conformance suite on the local broker. What it does not do stands here and in docs/testing.md, and nowhere else. */
import { deepStrictEqual } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { startBroker } from '../../src/testing/index.ts'
import { conformance } from './suite.ts'

const NO_TRANSACTIONS = 'half messages are refused, as with rejectTransactionMessage'
const NO_POP = 'pop is not there: code 3'

const differences: Readonly<Record<string, string>> = {
  'a half message is delivered once it is committed': NO_TRANSACTIONS,
  'a half message that is rolled back is never delivered': NO_TRANSACTIONS,
  'every commit that arrives delivers another copy': NO_TRANSACTIONS,
  'an end with the wrong group or offset is refused with code 1': NO_TRANSACTIONS,
  'a broker asks a registered member of the producer group, and delivers on its answer': NO_TRANSACTIONS,
  'popped messages are invisible to the next pop, and the answer says where each stands': NO_POP,
  'what is acknowledged, one by one or in a batch, does not come back; the rest does, as a retry': NO_POP,
  'a longer time makes a new receipt': NO_POP,
  'an offset outside the queue cannot be acknowledged, nor can more than 32 be popped': NO_POP,
}

/** END_TRANSACTION; POP_MESSAGE, ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, BATCH_ACK_MESSAGE. */
const unanswered = [37, 200_050, 200_051, 200_053, 200_151]

conformance(async () => {
  const broker = await startBroker({ recall: true })
  return {
    nameServers: broker.nameServers,
    features: { sql92: false, recall: true },
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

it('docs/testing.md names every case in which the local broker differs, and no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/testing.md'), 'utf8')
  const [, table = ''] = page.split('<!-- conformance -->')
  const named = [...table.matchAll(/^\| ([^|]+?) \| ([^|]+?) \|$/gm)]
    .map(([, name = '', why = '']) => [name, why])
    .slice(1) // below the head
  deepStrictEqual(Object.fromEntries(named), differences)
})
