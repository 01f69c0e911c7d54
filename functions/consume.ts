/**
 * Consumes the topics of ROCKETMQ_EVENT_SOURCES (JSON, or the path of a JSON file in the bundle; mappings by name).
 *
 * With one mapping any event starts it, a schedule's for example. With several the event names one:
 * `{ "version": 1, "eventSource": "orders" }`, which is also what a schedule can be given as its input.
 *
 * With POWERTOOLS_METRICS_NAMESPACE it writes CloudWatch metrics: metrics-options.ts.
 */
import { setFlagsFromString } from 'node:v8'
import { createClient } from '../src/client/client.ts'
import { eventSource } from '../src/lambda/event-source.ts'
import { unknownMapping } from '../src/lambda/options.ts'
import { clientOptions } from './client-options.ts'
import { readEventSources } from './event-sources.ts'
import { handleRecords } from './handle-records.ts'
import { metricsOptions } from './metrics-options.ts'

// What a drain reads lies outside of V8's heap. V8 counts it, but does not see how fast it grows, so that it would collect
// everything for each 8 MB of it: half of the CPU time of a drain (docs/benchmarks.md).
setFlagsFromString('--heap-growing-percent=200')

type Consume = ReturnType<typeof eventSource>

const metrics = metricsOptions()
const client = createClient(clientOptions())
const sources = new Map<string, Consume>(
  Object.entries(readEventSources()).map(([name, mapping]) => [
    name,
    // One with a target is handled there.
    eventSource({ ...mapping, name, client, metrics }, mapping.target ? undefined : handleRecords),
  ]),
)

export const handler: Consume = async (event, context) => await sourceOf(event)(event, context)

function sourceOf(event: unknown): Consume {
  const name = (event as { eventSource?: unknown } | null | undefined)?.eventSource
  const [only] = sources.values()
  // By itself it takes any event, and refuses a payload for another mapping.
  const source = (typeof name === 'string' && sources.get(name)) || (sources.size === 1 && only)
  if (source) return source
  throw unknownMapping(name, [...sources.keys()])
}
