/**
 * What the commands and functions of this package must be granted, on Apache RocketMQ with access control: each begins with nothing and
 * is granted what the refusal names until it works. docs/deploy.md lists the same.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { grantsIn } from '../../src/cli/grants.ts'
import {
  type Client,
  type Credentials,
  createClient,
  createGroupAdmin,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  createTransactionProducer,
  type SendResult,
} from '../../src/index.ts'
import {
  dispatcher,
  eventSource,
  publisher,
  transactionChecker,
  transactionEnder,
} from '../../src/lambda/index.ts'
import { type LocalAction, lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { runCommand } from '../support/command-line.ts'
import { createUser, type Grants, grant } from '../support/rocketmq/acl.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { authSettings, startRocketMQ } from '../support/rocketmq/start.ts'

const ROOT: Credentials = { accessKey: 'root', secretKey: 'root-secret' }
const MOST_STEPS = 15
/** What fails is a dead letter at once. */
const LAST_ATTEMPT = { maximumRetryAttempts: 0 } as const
/** Beside what is written on one line an error may name several. */
const GRANT = /\b(Pub|Sub|Get|Create|Update|Delete)(?: or (\w+))? on (\w+:[\w%-]+)/g

const page = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8')

/** A table of docs/deploy.md: needs by name, and what is granted for more than that. */
function documented(mark: string): Record<string, [needs: string, more: string]> {
  const [, table = ''] = page.split(`<!-- grants of ${mark} -->`)
  const rows = table.split('\n\n')[0]?.split('\n').slice(3) ?? []
  return Object.fromEntries(
    rows.map((row) => {
      const [name = '', needs = '', more = ''] = row.split(/ *(?<!\\)\| */).slice(1)
      const plain = (cell: string): string => [...cell.matchAll(GRANTED)].map(([all]) => all).join('; ')
      return [name.replaceAll('`', ''), [plain(needs), plain(more)]]
    }),
  )
}
const GRANTED = /\b(?:Pub|Sub|Get|Create|Update|Delete)(?:, \w+)* on \w+:[\w%-]+/g

interface Outcome {
  isDone: boolean
  text: string
}

const textOf = (granted: Grants): string =>
  Object.keys(granted)
    .toSorted()
    .map((resource) => `${granted[resource]?.toSorted().join(', ')} on ${resource}`)
    .join('; ')

describe('permissions', { skip: !(await realBrokerAvailable()) }, () => {
  let rocketmq: Awaited<ReturnType<typeof startRocketMQ>>
  let address: string
  let root: Client
  let sent: SendResult

  before(async () => {
    const transactions = {
      transactionCheckInterval: 1_000,
      transactionTimeOut: 1_000,
      transactionCheckMax: 4,
    }
    const settings = { ...transactions, ...authSettings(ROOT) }
    rocketmq = await startRocketMQ({ settings })
    address = rocketmq.brokers[0]?.address ?? ''
    root = createClient({ nameServers: rocketmq.nameServers, credentials: ROOT, timeoutMs: 20_000 })
    await createTopicAdmin(root).create('orders', { readQueueNums: 1 })
    const groups = createGroupAdmin(root)
    for (const group of ['billing', 'billing_redrive', 'popping', 'starting']) await groups.create(group)
    const consumer = createPullConsumer(root, { consumerGroup: 'billing' })
    const [queue] = await until('the route', () => consumer.queues('orders').catch(() => undefined))
    ok(queue)
    const producer = createProducer(root, { producerGroup: 'p' })
    sent = await producer.send({ topic: 'orders', body: 'x', keys: 'key' })
    for (let n = 0; n < 3; n++) await producer.send({ topic: 'orders', body: 'x' })
    const { messages } = await consumer.pull(queue, 0n)
    for (const message of messages) await consumer.sendBack(message, { delayLevel: -1 })
    await consumer.commitOffset(queue, 1n)
    await until('the dead letters', async () => {
      const stats = await createTopicAdmin(root)
        .stats('%DLQ%billing')
        .catch(() => undefined)
      return stats?.queues[0]?.maxOffset === 4n
    })
    const begin = (producerGroup: string) =>
      createTransactionProducer(root, { producerGroup }).begin({ topic: 'orders', body: 'x' })
    await begin('swept')
    const begun = await begin('p')
    await transactionEnder({ topics: ['orders'], producerGroup: 'p', client: root })(
      { transaction: begun, outcome: 'rollback' },
      lambdaContext({ remainingMs: 20_000 }),
    )
    await until('what was given up', async () =>
      (await createTopicAdmin(root).list()).some(({ topic }) => topic === 'TRANS_CHECK_MAX_TIME_TOPIC'),
    )
  })
  after(async () => {
    await root?.close()
    await rocketmq?.stop()
  })

  /** What commands could change. */
  const state = async (): Promise<unknown> => {
    const topics = createTopicAdmin(root)
    const groups = createGroupAdmin(root)
    return {
      topics: (await topics.list()).filter(({ kind }) => kind !== 'system'),
      orders: [await topics.describe('orders'), await topics.stats('orders')].map((each) => inspect(each)),
      dead: inspect(await topics.stats('%DLQ%billing')),
      groups: await groups.list(),
      billing: [await groups.describe('billing'), (await groups.stats('billing')).queues].map((each) =>
        inspect(each, { depth: 9 }),
      ),
      progress: inspect((await groups.stats('billing_redrive')).queues, { depth: 9 }),
    }
  }

  /**
   * Begins with nothing, and grants what is named until nothing is.
   * @param preferred of two that are each enough
   */
  const measure = async (
    user: string,
    attempt: (credentials: Credentials) => Promise<Outcome>,
    preferred = 'Get',
  ): Promise<[needs: string, more: string]> => {
    await createUser(root, address, user, {})
    const granted: Record<string, LocalAction[]> = {}
    let needs: string | undefined
    for (let step = 0; step < MOST_STEPS; step++) {
      const { isDone, text } = await attempt({ accessKey: user, secretKey: `${user}-secret` })
      if (isDone) needs ??= textOf(granted)
      const before = textOf(granted)
      for (const [, first = '', second, resource = ''] of text.matchAll(GRANT)) {
        const action = second === preferred ? second : first
        granted[resource] = [...new Set([...(granted[resource] ?? []), action as LocalAction])]
      }
      if (textOf(granted) === before) {
        ok(isDone, `${user}: ${before}: ${text}`)
        const more = Object.entries(granted).flatMap(([resource, actions]) => {
          const had = needs ?? ''
          const fresh = actions.filter((action) => !hasGrant(had, action, resource))
          return fresh.length > 0 ? [[resource, fresh] as const] : []
        })
        return [needs ?? '', textOf(Object.fromEntries(more))]
      }
      await grant(root, address, user, granted, before === '')
    }
    throw new Error(`${user}: ${textOf(granted)} is not enough`)
  }
  const hasGrant = (text: string, action: string, resource: string): boolean =>
    text
      .split('; ')
      .some((each) => each.endsWith(` on ${resource}`) && each.split(' on ')[0]?.split(', ').includes(action))

  const command = async (line: string, { accessKey, secretKey }: Credentials) =>
    await runCommand(line.split(' '), {
      environment: {
        ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers,
        ROCKETMQ_ACCESS_KEY: accessKey,
        ROCKETMQ_SECRET_KEY: secretKey,
        ROCKETMQ_TIMEOUT_MS: '20000',
      },
    })

  it('each command says in one line which one is missing and changes nothing, until it has what docs/deploy.md lists', async () => {
    const lines: readonly (readonly [name: string, line: string, preferred?: string])[] = [
      ['send', 'send orders x'],
      ['peek', 'peek orders'],
      ['peek --offset', 'peek orders --offset 0'],
      ['peek --key', 'peek orders --key key'],
      ['peek --id', `peek orders --id ${sent.offsetMessageId}`],
      ['lag <group>', 'lag billing'],
      ['lag <group> <topic>', 'lag billing orders'],
      ['reset --dry-run', 'reset billing orders --to latest --dry-run'],
      ['reset', 'reset billing orders --to 2 --yes'],
      ['topic list', 'topic list'],
      ['topic show', 'topic show orders'],
      ['topic create', 'topic create made'],
      ['topic update', 'topic update orders --type NORMAL --yes'],
      ['topic delete', 'topic delete made --yes'],
      ['group list', 'group list'],
      ['group show', 'group show billing'],
      ['group members', 'group members billing'],
      ['group create', 'group create made'],
      ['group update', 'group update billing --retry-max 3 --yes'],
      ['group delete', 'group delete made --yes'],
      ['dlq list', 'dlq list billing'],
      ['dlq show', 'dlq show billing broker-a/0@0'],
      ['dlq redrive --dry-run', 'dlq redrive billing --dry-run'],
      ['dlq redrive', 'dlq redrive billing --limit 1 --yes', 'Sub'],
    ]
    const measured: Record<string, [string, string]> = {}
    for (const [at, [name, line, preferred]] of lines.entries()) {
      const before = await state()
      measured[name] = await measure(
        `command-${at}`,
        async (credentials) => {
          const { code, stdout, stderr } = await command(line, credentials)
          if (code === 0) return { isDone: true, text: stdout }
          deepStrictEqual([line, code], [line, 1])
          match(stderr, /(?:^|\n)error: [^\n]+; grant \w+(?: or \w+)? on \w+:\S+\n$/, line)
          deepStrictEqual(await state(), before, line)
          return { isDone: false, text: stderr.slice(stderr.lastIndexOf('; grant ')) }
        },
        preferred,
      )
    }

    deepStrictEqual(measured, documented('commands'))
  })

  it('each function works with what docs/deploy.md lists', async (t) => {
    const warnings: string[] = []
    t.mock.method(console, 'warn', (...args: unknown[]) => void warnings.push(inspect(args, { depth: 9 })))
    t.mock.method(console, 'error', (...args: unknown[]) => void warnings.push(inspect(args, { depth: 9 })))
    t.mock.method(console, 'log', () => {})
    const logger = console
    const context = () => lambdaContext({ remainingMs: 30_000 })
    const producerGroup = 'p'
    const topics = ['orders']
    const reject = async (event: { records: Record<string, { recordId: string }[]> }) => ({
      batchItemFailures: Object.values(event.records)
        .flat()
        .slice(0, 1)
        .map(({ recordId }) => ({ itemIdentifier: recordId })),
    })
    const functions: Record<string, (client: Client) => Promise<unknown>> = {
      publish: (client) =>
        publisher({ topics, producerGroup, client })({ topic: 'orders', body: 'x' }, context()),
      consume: (client) =>
        eventSource({ topic: 'orders', consumerGroup: 'starting', ...LAST_ATTEMPT, client, logger }, reject)(
          scheduledEvent(),
          context(),
        ),
      'consume, mode pop': async (client) => {
        await createProducer(root, { producerGroup }).send({ topic: 'orders', body: 'x' })
        const mapping = { topic: 'orders', consumerGroup: 'popping', mode: 'pop', ...LAST_ATTEMPT } as const
        return await eventSource({ ...mapping, client, logger }, reject)(scheduledEvent(), context())
      },
      dispatch: (client) =>
        dispatcher({
          eventSources: { orders: { topic: 'orders', consumerGroup: 'billing' } },
          functionName: 'worker',
          client,
          lambda: { send: async () => ({}) },
        })(scheduledEvent(), context()),
      'end-transaction': async (client) => {
        const transaction = await createTransactionProducer(root, { producerGroup }).begin({
          topic: 'orders',
          body: 'x',
        })
        return await transactionEnder({ topics, producerGroup, client })(
          { transaction, outcome: 'rollback' },
          context(),
        )
      },
      'check-transactions, sweep': async (client) => {
        const options = { producerGroup: 'swept', client, logger }
        const result = await transactionChecker(options, async () => 'commit')({ sweep: true }, context())
        if (result.committed + result.failed + result.unreachable.length === 0)
          throw new Error('nothing to sweep')
        return result
      },
      'check-transactions': async (client) => {
        await createTransactionProducer(root, { producerGroup: 'abandoned' }).begin({
          topic: 'orders',
          body: 'x',
        })
        return await transactionChecker(
          { producerGroup: 'abandoned', windowMs: 4_000, client, logger },
          async () => 'rollback',
        )(scheduledEvent(), context())
      },
    }
    const measured: Record<string, [needs: string, more: string]> = {}
    for (const [at, [name, run]] of Object.entries(functions).entries())
      measured[name] = await measure(
        `function-${at}`,
        async (credentials) => {
          const client = createClient({ nameServers: rocketmq.nameServers, credentials, timeoutMs: 20_000 })
          warnings.length = 0
          const result: unknown = await run(client).catch((error: unknown) => error)
          await client.close()
          if (result instanceof Error) return { isDone: false, text: grantsIn(result.message).join('; ') }
          const { failed = 0, unreachable = [] } = result as { failed?: number; unreachable?: unknown[] }
          const said = [inspect(result, { depth: 9, breakLength: Infinity }), ...warnings]
          return {
            isDone: name.startsWith('consume') || failed + unreachable.length === 0,
            text: grantsIn(said.join(' ')).join('; '),
          }
        },
        'Sub',
      )

    deepStrictEqual(measured, documented('functions'))
  })

  for (const [name, group] of [
    ['publish'],
    ['consume', 'starting'],
    ['dispatch', 'billing'],
    ['end-transaction'],
    ['check-transactions'],
  ] as const)
    it(`doctor names what docs/deploy.md lists for ${name}, and with that has nothing to say`, async () => {
      const [needs = '', more = ''] = documented('functions')[name] ?? []
      const granted: Record<string, LocalAction[]> = {}
      for (const each of [needs, more].join('; ').split('; ')) {
        const [actions = '', resource = ''] = each.split(' on ')
        if (resource)
          granted[resource] = [...(granted[resource] ?? []), ...(actions.split(', ') as LocalAction[])]
      }
      const args = `doctor --json --window 2s --every 1s --function ${name} --topic orders${group === undefined ? '' : ` --group ${group}`}`
      const findingsOf = async (user: string, grants: Grants): Promise<Finding[]> => {
        await createUser(root, address, user, grants)
        const { stdout } = await command(args, { accessKey: user, secretKey: `${user}-secret` })
        const { findings } = JSON.parse(stdout) as { findings: Finding[] }
        return findings.filter(({ status, check }) => status !== 'ok' && check !== 'TLS')
      }

      const missing = await findingsOf(`${name}-nothing`, {})
      const rest = await findingsOf(`${name}-all`, granted)

      const named: Record<string, LocalAction[]> = {}
      for (const { fix = '' } of missing) {
        const [, action = '', second = action, resources] =
          /^grant (\w+)(?: or (\w+))? on (.+)$/.exec(fix) ?? []
        for (const resource of resources?.split(' and ') ?? [])
          named[resource] = [...new Set([...(named[resource] ?? []), second as LocalAction])]
      }
      deepStrictEqual([textOf(named), rest], [textOf(granted), []])
      ok(missing.some(({ status }) => status === 'fail'))
    })
})

interface Finding {
  check: string
  status: string
  fix?: string
}
