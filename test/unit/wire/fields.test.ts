import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { fieldsOf, showFields } from '../../../src/wire/fields.ts'
import { message } from '../../support/records.ts'

class Base {
  own = 1
  get read(): number {
    return 2
  }
  get missing(): undefined {
    return undefined
  }
}
class Derived extends Base {
  get more(): number {
    return 3
  }
}

test('the fields of an object are its own and those of its getters, inherited ones too', () => {
  deepStrictEqual(fieldsOf(new Derived()), { own: 1, more: 3, read: 2 })
})

test('a field that was set on the object stands before the getter of its class', () => {
  const object = Object.defineProperty(new Base(), 'read', { value: 9, enumerable: true })

  deepStrictEqual(fieldsOf(object), { own: 1, read: 9 })
})

test('the console shows them, but for what is hidden', () => {
  const Shown = showFields(class extends Derived {}, 'own')

  deepStrictEqual(inspect(new Shown()), '{ more: 3, read: 2 }')
})

test('a message shows the console and JSON all that it has', () => {
  const read = message({ properties: { TAGS: 'a', color: 'red' } })

  deepStrictEqual(JSON.parse(JSON.stringify(read)), {
    topic: 'orders',
    body: 'eyJhIjoxfQ==',
    tag: 'a',
    keys: [],
    properties: { color: 'red' },
    systemProperties: { UNIQ_KEY: 'ID', TAGS: 'a' },
    messageId: 'ID',
    offsetMessageId: '0A00000200002A9F0000000000001000',
    queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 },
    queueOffset: '0',
    commitLogOffset: '4096',
    bornTimestamp: 1_700_000_000_000,
    storeTimestamp: 1_700_000_000_007,
    bornHost: '10.0.0.1:50000',
    storeHost: '10.0.0.2:10911',
    reconsumeTimes: 0,
    flag: 0,
    sysFlag: 0,
  })
  deepStrictEqual(
    Object.keys(read.toJSON()).filter((name) => !inspect(read).includes(`${name}:`)),
    [],
  )
})
