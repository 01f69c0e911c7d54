/** The words of the command line in errors of the client: `--to` in place of the field `to.offset`. */
import { ConfigError, RocketMQError } from '../errors.ts'

/**
 * Rejects with the option of the command line in place of the field that an error names.
 * @param names of options by field; '' stands for an error that names none
 */
export function naming(names: Readonly<Record<string, string>>): (error: unknown) => never {
  return (error) => {
    if (!RocketMQError.is(error)) throw error
    const option = names[error.field ?? '']
    if (option === undefined) throw error
    const message = error.message.replace(/^[^\s:]+: /, '').replace(/ is in use$/, '$&; 0 takes a free one')
    throw new ConfigError(option, message, { cause: error })
  }
}
