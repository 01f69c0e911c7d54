/** The programs of the benchmark do what their rows say, so that a figure of theirs means something. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Job, Outcome } from '../../bench/job.ts'
import { OWN, type Program, patient, preparePrograms, runProgram } from '../../bench/programs.ts'
import { UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import { type Client, createClient, createPullConsumer } from '../../src/index.ts'
import { until } from '../conformance/context.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

const MESSAGES = 512
const WARM_UP = 256

describe('the benchmark', { skip: !(await realBrokerAvailable()) }, () => {
  let rocketmq: RocketMQ
  let programs: Program[]
  let client: Client

  before(async () => {
    ;[rocketmq, programs] = await Promise.all([startRocketMQ({ settings: patient }), preparePrograms()])
    client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 20_000 })
  })
  after(async () => {
    await client.close()
    await rocketmq.stop()
  })

  const jobOf = (work: Job['work'], topic: string): Job => {
    const [broker] = rocketmq.brokers
    return {
      work,
      nameServers: rocketmq.nameServers,
      broker: broker?.address ?? '',
      brokerName: 'broker-a',
      topic,
      queues: 8,
      group: 'bench',
      bodyBytes: 100,
      inFlight: 8,
      batchSize: 32,
      warmup: WARM_UP,
      messages: MESSAGES,
    }
  }
  const run = async (program: Program, job: Job): Promise<Outcome> => {
    const result = await runProgram(program, job, process.pid)
    if ('problem' in result) throw new Error(`${program.name}: ${result.problem}`)
    return result.outcome
  }
  /** The end of a queue can be told a moment late, so it is asked for until all that is expected is there. */
  const storedIn = async (topic: string): Promise<number> => {
    const consumer = createPullConsumer(client, { consumerGroup: 'count' })
    const queues = await consumer.queues(topic)
    const count = async (): Promise<number> => {
      const offsets = await Promise.all(queues.map((queue) => consumer.maxOffset(queue)))
      return Number(offsets.reduce((sum, offset) => sum + offset, 0n))
    }
    return await until(`all messages of ${topic}`, async () => {
      const stored = await count()
      return stored >= MESSAGES + WARM_UP && stored
    })
  }
  const create = async (topic: string): Promise<void> => {
    const address = rocketmq.brokers[0]?.address ?? ''
    const request = { topic, readQueueNums: 8, writeQueueNums: 8, perm: 6, defaultTopic: 'TBW102' }
    await client.network.call(address, UpdateAndCreateTopic, request, undefined, {
      deadline: client.deadline(),
    })
    const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
    await until(
      `the route of ${topic}`,
      async () => (await consumer.queues(topic).catch(() => [])).length === 8,
    )
  }

  it('stores as many messages as each program says, one by one and in batches', async () => {
    for (const [index, program] of programs.entries()) {
      if (program.problem !== undefined) continue
      for (const work of ['send', 'batch'] as const) {
        if (work === 'batch' && program.name === 'ali-ons') continue
        const topic = `${work}-${index}`
        await create(topic)

        const { messages } = await run(program, jobOf(work, topic))

        strictEqual(messages, MESSAGES, program.name)
        strictEqual(await storedIn(topic), MESSAGES + WARM_UP, `${program.name}, ${work}`)
      }
    }
  })

  it('lets all programs that decode read the same', async () => {
    await create('read')
    const own = programs.find(({ name }) => name === OWN)
    ok(own)
    await run(own, { ...jobOf('send', 'read'), messages: 8 * MESSAGES })

    const sums: unknown[] = []
    for (const program of programs.filter(({ problem }) => problem === undefined))
      sums.push((await run(program, jobOf('pull', 'read'))).checksum)

    const [limit, ...others] = sums
    strictEqual(limit, undefined)
    ok(others.length > 0)
    deepStrictEqual(others, Array(others.length).fill(others[0]))
  })
})
