/** The producer group of transactions: the same for who begins, who ends and who checks, so that it has no default. */
import { ConfigError } from '../src/errors.ts'

export function producerGroup(): string {
  const group = process.env['ROCKETMQ_PRODUCER_GROUP']
  if (group) return group
  throw new ConfigError(
    'ROCKETMQ_PRODUCER_GROUP',
    'is not set; it takes the one group of who begins, ends and checks transactions',
  )
}
