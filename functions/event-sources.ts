/** The mappings of ROCKETMQ_EVENT_SOURCES: JSON, or the path of a JSON file in the bundle. */
import { readFileSync } from 'node:fs'
import { ConfigError } from '../src/errors.ts'
import { type EventSourceMapping, parseEventSources } from '../src/lambda/options.ts'

export function readEventSources(): Record<string, EventSourceMapping> {
  const setting = process.env['ROCKETMQ_EVENT_SOURCES'] ?? ''
  return parseEventSources(/^\s*[[{]/.test(setting) ? setting : readFile(setting))
}

function readFile(path: string): string {
  if (path === '')
    throw new ConfigError('ROCKETMQ_EVENT_SOURCES', 'is not set; it takes JSON, or the path of a JSON file')
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError('ROCKETMQ_EVENT_SOURCES', `no file can be read at ${JSON.stringify(path)}`, {
      cause,
    })
  }
}
