/** Of an error that has several the one that no fault of a server explains. */
import { RocketMQError } from '../../src/errors.ts'

export function worstOf(error: unknown): unknown {
  if (!(error instanceof AggregateError)) return error
  const errors = error.errors.map(worstOf)
  const strange = errors.find((each) => !RocketMQError.is(each))
  return strange ?? errors.find((each) => RocketMQError.is(each) && each.code === 'RMQ_CONFIG') ?? error
}
