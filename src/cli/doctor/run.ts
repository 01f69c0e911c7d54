/** `doctor`: one finding after the other, each with its fix. */
import type { Client } from '../../client/client.ts'
import { ConfigError } from '../../errors.ts'
import { checkGroupName, checkTopicName } from '../../wire/names.ts'
import { withClient } from '../connection.ts'
import { bold, green, printable, printJson, red } from '../output.ts'
import { checkClocks } from './clocks.ts'
import type { DoctorOptions, Finding } from './options.ts'
import { type Bench, checkEnds, checkGroup, checkTopic } from './resources.ts'
import { checkBrokers, checkCredentials, checkNameServers, checkTls, reachBrokers } from './servers.ts'
import { checkTransactions } from './transactions.ts'

const STYLES = { ok: green, warn: bold, fail: red }

export async function runDoctor(options: DoctorOptions): Promise<void> {
  const { json, topic: topics = [], group } = options
  for (const topic of topics) checkTopicName(topic, '--topic')
  if (group !== undefined) checkGroupName(group, '--group')
  needs(options)
  await withClient(options, async (client) => {
    const findings: Finding[] = []
    for await (const finding of examine(client, options)) {
      findings.push(finding)
      if (!json) console.log(lineOf(finding))
    }
    const isWell = findings.every(({ status }) => status !== 'fail')
    if (json) printJson({ ok: isWell, findings })
    if (!isWell) process.exitCode = 1
  })
}

/** @throws ConfigError for a function that cannot be checked without more */
function needs({ function: use, topic = [], group }: DoctorOptions): void {
  if (use === undefined) return
  if (topic.length === 0) throw new ConfigError('--topic', `is needed for --function ${use}`)
  if ((use === 'consume' || use === 'dispatch') && group === undefined)
    throw new ConfigError('--group', `is needed for --function ${use}`)
}

/** What later checks need is looked at first; without brokers there is nothing more to ask. */
async function* examine(client: Client, options: DoctorOptions): AsyncGenerator<Finding> {
  const { function: use, topic: topics = [], group } = options
  const { findings, info } = await checkNameServers(client)
  yield* findings
  if (!info) return
  const reached = await reachBrokers(client, info)
  yield* checkBrokers(reached)
  yield* await checkClocks(client, reached)
  yield checkTls(reached)
  const credentials = checkCredentials(reached)
  yield credentials
  if (credentials.status === 'fail' || reached.every(({ error }) => error?.code === 'RMQ_CONNECT')) return
  const bench: Bench = { client, reached, use }
  for (const topic of topics) yield* await checkTopic(bench, topic, group)
  if (group !== undefined) yield* await checkGroup(bench, group, topics)
  if (use === 'end-transaction') yield* await checkEnds(bench, topics)
  if (use === 'check-transactions') yield* checkTransactions(reached, options)
}

const lineOf = ({ status, check, text, fix }: Finding): string => {
  const rest = `${check}: ${text}${fix === undefined ? '' : ` → ${fix}`}`
  return `${STYLES[status](status.padEnd(4))}  ${printable(rest.replaceAll('\n', ' '))}`
}
