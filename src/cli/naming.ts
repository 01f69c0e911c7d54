/** The words of the command line in errors of the client: `--to` in place of the field `to.offset`. */
import { ConfigError, RocketMQError } from '../errors.ts'

/**
 * Rejects with the option of the command line in place of the field that an error names.
 * @param names of options by field; '' stands for an error that names none
 */
export function naming(names: Readonly<Record<string, string>>): (error: unknown) => never {
  return (error) => {
    if (!RocketMQError.is(error)) throw error
    const [root = '', ...rest] = (error.field ?? '').split(/[.[]/)
    const option = names[error.field ?? ''] ?? names[root]
    if (option === undefined) throw error
    // `properties.a: …` is `--property: a: …`, as its root has the option's name.
    const isPart = names[error.field ?? ''] === undefined && rest.length > 0 && !/\]/.test(rest.join())
    const message = error.message
      .replace(isPart ? /^[^.]+\./ : /^[^\s:]+: /, '')
      .replace(/ is in use$/, '$&; 0 takes a free one')
      // There is no command for it: fewer queues would hide messages.
      .replace(/; update changes it$/, '; nothing was changed')
    throw new ConfigError(option, message, { cause: error })
  }
}
