/** The words of the command line in errors of the client: `--to` in place of the field `to.offset`. */
import { ConfigError, ErrorCode, RocketMQError } from '../errors.ts'
import { sayingGrants } from './grants.ts'

/**
 * Rejects with the option of the command line in place of the field that an error names.
 * @param names of options by field; '' stands for an error that names none
 */
export function naming(names: Readonly<Record<string, string>>): (error: unknown) => never {
  return (error) => {
    if (!RocketMQError.is(error)) throw error
    const { field = '' } = error
    const [root = ''] = field.split('.')
    const option = names[field] ?? names[root.replace(/\[.*/, '')]
    if (option === undefined) throw error
    // Of `properties.a` the name of the property is left.
    const known = names[field] === undefined && field !== root ? `${root}.` : `${field}: `
    const message = (error.message.startsWith(known) ? error.message.slice(known.length) : error.message)
      .replace(/ is in use$/, '$&; 0 takes a free one')
      .replace(/; update changes it$/, '; nothing was changed, update does that')
    throw new ConfigError(option, message, { cause: error })
  }
}

/** What a broker answers that is taken for one. */
const OF_NAME_SERVERS =
  /( with code 3: +request type (?:105|106|206) not supported); RocketMQ \S+ lacks it \(docs\/brokers\.md\)$/

/** Rejects with what whoever has called the command can do about it. */
export function advising(error: unknown): never {
  if (!RocketMQError.is(error)) throw error
  const { code, outcome } = error
  error.message = sayingGrants(error.message)
    .replaceAll(/took too long; see timeoutMs|ran into the deadline/g, 'took too long: --timeout')
    .replace(OF_NAME_SERVERS, '$1; is that a name server? ROCKETMQ_NAMESRV_ADDR takes their addresses')
  if (outcome === 'unknown' && code !== ErrorCode.PARTIAL)
    error.message += '; it may have been done all the same: look before you repeat it'
  throw error
}
