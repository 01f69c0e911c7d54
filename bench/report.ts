/** Medians, and the tables of docs/benchmarks.md. */
import type { Outcome } from './job.ts'
import { LIMIT, type Result } from './programs.ts'
import type { Row } from './rows.ts'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

/** What a program needed for a row, in the middle of its runs. */
export interface Figures {
  name: string
  problem?: string
  perSecond: number
  /** Milliseconds of CPU time for 1,000 messages. */
  clientCpuMs: number
  brokerCpuMs: number
  peakMegabytes: number
  checksum?: number | undefined
}

export function figuresOf(name: string, results: readonly Result[], warmUp: number): Figures {
  const problem = results.find((each) => 'problem' in each)?.problem
  const good = results.filter((each) => 'outcome' in each)
  const middle = (value: (outcome: Outcome, brokerCpuSeconds: number) => number): number =>
    median(good.map(({ outcome, brokerCpuSeconds }) => value(outcome, brokerCpuSeconds)))
  return {
    name,
    ...(problem !== undefined && { problem }),
    perSecond: middle(({ messages, seconds }) => messages / seconds),
    clientCpuMs: middle(({ messages, cpuSeconds }) => (cpuSeconds / messages) * 1e6),
    brokerCpuMs: middle(({ messages }, cpu) => (cpu / (messages * (1 + warmUp))) * 1e6),
    peakMegabytes: middle(({ peakRssBytes }) => peakRssBytes / 1e6),
    checksum: good[0]?.outcome.checksum,
  }
}

export type Cells = readonly (string | number)[]

/** A Markdown table. */
export function table(head: readonly string[], lines: readonly Cells[]): string {
  const row = (cells: Cells): string => `| ${cells.join(' | ')} |`
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n')
}

export const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** The lines of one row: each program beside the limit. */
export function rowTable({ name, goal }: Row, all: readonly Figures[]): string {
  const limit = all.find((each) => each.name === LIMIT)
  const lines = all.map((each): Cells => {
    if (each.problem !== undefined) return [each.name, each.problem, '', '', '', '', '']
    const ratio = limit && each.name !== LIMIT ? each.perSecond / limit.perSecond : 1
    const cpu = limit && each.name !== LIMIT ? each.clientCpuMs / limit.clientCpuMs : 1
    return [
      each.name,
      whole(each.perSecond),
      ratio.toFixed(2),
      each.clientCpuMs.toFixed(1),
      cpu.toFixed(2),
      each.brokerCpuMs.toFixed(1),
      whole(each.peakMegabytes),
    ]
  })
  const wanted = goal
    ? ` (goal: ≥ ${goal.ratio.toFixed(2)}${goal.cpu ? `, CPU ≤ ${goal.cpu} ×` : ''}${goal.megabytes ? `, < ${goal.megabytes} MB` : ''})`
    : ''
  const head = ['', 'messages/s', 'of the limit', 'CPU', '× the limit', 'broker CPU', 'peak MB']
  return `**${name}**${wanted}\n\n${table(head, lines)}`
}

const BEGIN = '<!-- npm run bench writes from here … -->'
const END = '<!-- … to here -->'

/** The page with the measured part replaced. */
export function withTables(page: string, tables: string): string {
  const start = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (start < 0 || end < start) throw new Error('docs/benchmarks.md has lost its marks')
  return `${page.slice(0, start + BEGIN.length)}\n\n${tables}\n\n${page.slice(end)}`
}
