/**
 * The variables of a serverless.yml: `${param:x}`, `${opt:x, 'default'}`, `${env:X}`, `${self:custom.x}`, `${sls:stage}`.
 *
 * Only what is read is resolved, so that what a local run does not need (a VPC, a bucket) need not be known. Left out:
 * `file`, `s3`, `ssm`, `cf` and the like, which reach beyond the file.
 */
import { ConfigError } from '../../errors.ts'

export interface VariableSources {
  /** The whole file. */
  self: unknown
  params: Readonly<Record<string, unknown>>
  options: Readonly<Record<string, unknown>>
  env: Readonly<Record<string, string | undefined>>
  stage: string
}

/** No `$` inside: the innermost variable. `${AWS::Region}` is CloudFormation's own and stays. */
const VARIABLE = /\$\{((?!AWS::)[^${}]+)\}/
const MOST_STEPS = 100

/** @param field where the value stands, named by the error */
export function resolveVariables(value: unknown, sources: VariableSources, field: string): unknown {
  let current = value
  for (let step = 0; typeof current === 'string'; step++) {
    const match = VARIABLE.exec(current)
    if (!match) return current
    if (step > MOST_STEPS) throw new ConfigError(field, `${JSON.stringify(value)} refers to itself`)
    const resolved = resolveOne(match[1] ?? '', sources, field)
    // The variable is the whole text: its value keeps its type.
    if (match[0] === current) current = resolved
    else
      current =
        current.slice(0, match.index) + String(resolved) + current.slice(match.index + match[0].length)
  }
  return current
}

function resolveOne(inner: string, sources: VariableSources, field: string): unknown {
  const alternatives = inner.match(/(?:'[^']*'|"[^"]*"|[^,'"])+/g) ?? []
  for (const alternative of alternatives.map((each) => each.trim())) {
    const value = lookUp(alternative, sources)
    if (value !== undefined && value !== null) return value
  }
  const [first = ''] = alternatives
  const hint = first.startsWith('param:') ? `; pass the param ${first.slice(6).trim()}` : ''
  throw new ConfigError(field, `\${${inner}} has no value here${hint}`)
}

function lookUp(text: string, { self, params, options, env, stage }: VariableSources): unknown {
  const [, , quoted] = /^(['"])(.*)\1$/.exec(text) ?? []
  if (quoted !== undefined) return quoted
  const [, source = '', address = ''] = /^(\w+):(.*)$/.exec(text) ?? []
  if (source === 'param') return params[address]
  if (source === 'opt') return address === 'stage' ? stage : options[address]
  if (source === 'env') return env[address]
  if (source === 'sls') return address === 'stage' ? stage : undefined
  if (source === 'self') return at(self, address)
  return /^(true|false|-?\d+(\.\d+)?)$/.test(text) ? (JSON.parse(text) as unknown) : undefined
}

function at(value: unknown, path: string): unknown {
  let found = value
  for (const key of path.split('.')) found = (found as Record<string, unknown> | undefined)?.[key]
  return found
}
