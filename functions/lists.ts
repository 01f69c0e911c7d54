/** Environment variables that are lists, separated by commas. */
import { ConfigError } from '../src/errors.ts'

export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')

/** @throws ConfigError when there is none */
export function requiredList(name: string, what: string): string[] {
  const list = listOf(process.env[name] ?? '')
  if (list.length > 0) return list
  throw new ConfigError(name, `takes ${what}, separated by commas; got none`)
}
