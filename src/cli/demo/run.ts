/** Runs the demo: starts everything, goes through the steps until one is not as it should be, and ends with a table. */
import { bold, green, lineOf, milliseconds, red, table } from '../output.ts'
import { openStage, type Stage, type StageOptions, TOPIC } from './stage.ts'
import { type Seen, type Step, steps } from './steps.ts'

/** A step takes a fraction of a second; on a machine that is very busy, some. */
const STEP_LIMIT_MS = 20_000

type Named = Pick<Step, 'title' | 'name' | 'expected'>

export interface Row extends Named {
  seen: string
  time: string
}

/** What happens before there is a stage. */
const START: Named = {
  title: 'A broker and a Lambda start on this machine, sharing a clock',
  name: 'start of broker and Lambda',
  expected: 'both listen',
}

/** What happens when all steps are done; told only when it goes wrong. */
const END: Named = {
  title: 'The broker and the Lambda end',
  name: 'end of broker and Lambda',
  expected: 'both end',
}

/** @returns whether everything was as it should be */
export async function runDemo(
  options: Partial<StageOptions> & Omit<StageOptions, 'print'> = {},
): Promise<boolean> {
  const { print = (line: string) => console.log(line), ...rest } = options
  const began = performance.now()
  const rows: Row[] = []
  const isSo = await play({ print, ...rest }, rows)
  print('')
  const head = ['', 'step', 'expected', 'seen', 'time']
  const body = rows.map(({ name, expected, seen, time }, at) => [
    String(at + 1),
    name,
    expected,
    seen === expected ? '✔' : seen,
    time,
  ])
  for (const line of table([head, ...body], (text, at) => styleOf(text, at, rows))) print(line)
  print('')
  const took = `${((performance.now() - began) / 1000).toFixed(1)} s`
  if (isSo) print(green(`Everything was as it should be, in ${took}.`))
  else print(red(`Step ${rows.length} was not as it should be.`))
  return isSo
}

async function play(options: StageOptions, rows: Row[]): Promise<boolean> {
  const { print } = options
  const take = async (step: Named, run: () => Promise<Seen>): Promise<boolean> => {
    print(bold(`${rows.length === 0 ? '' : '\n'}${rows.length + 1}  ${step.title}`))
    const began = performance.now()
    const { seen, time = milliseconds(performance.now() - began) } = await inTime(run()).catch(
      (error: unknown): Seen => ({ seen: lineOf(error) }),
    )
    rows.push({ ...step, seen, time })
    if (seen !== step.expected) print(red(`   expected ${step.expected}; came ${seen}`))
    return seen === step.expected
  }

  let stage: Stage | undefined
  const open = async (): Promise<Seen> => {
    stage = await openStage(options)
    const { broker, lambda } = stage
    const addresses = [
      ['name server', broker.nameServers],
      ['HTTP API', lambda.httpUrl ?? ''],
      ['Invoke API', lambda.endpoint],
      ['topic', TOPIC],
    ]
    for (const line of table(addresses)) print(`   ${line}`)
    return { seen: START.expected }
  }
  let isSo = await take(START, open)
  for (const step of steps) isSo = isSo && (await take(step, () => step.run(stage as Stage)))
  return await end(stage, rows, isSo)
}

/** What does not end would keep the process alive: it is a step that was not as it should be, unless another was before. */
export async function end(stage: AsyncDisposable | undefined, rows: Row[], isSo: boolean): Promise<boolean> {
  try {
    await inTime(stage?.[Symbol.asyncDispose]())
    return isSo
  } catch (error) {
    if (isSo) rows.push({ ...END, seen: lineOf(error), time: '' })
    return false
  }
}

/** Rejects when it takes longer than any step may. */
async function inTime<T>(work: T | PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing in ${STEP_LIMIT_MS / 1000} s`)), STEP_LIMIT_MS)
  })
  return await Promise.race([work, limit]).finally(() => clearTimeout(timer))
}

function styleOf(line: string, at: number, rows: readonly Row[]): string {
  const row = rows[at - 1]
  if (row === undefined) return bold(line)
  return row.seen === row.expected ? line : red(line)
}
