/** GET_BROKER_CONFIG 26 (upstream AdminBrokerProcessor.getBrokerConfig): the settings that a broker runs with, as properties text. */
import { type BodyCodec, type Command, defineCommand, type NoFields } from './define.ts'

/** `name=value` lines; nothing is escaped, so a value ends with its line and may hold `=`. */
const propertiesBody: BodyCodec<Readonly<Record<string, string>>> = {
  encode: (values) =>
    Buffer.from(
      Object.entries(values)
        .map((each) => `${each.join('=')}\n`)
        .join(''),
    ),
  decode(bytes) {
    const values: Record<string, string> = Object.create(null)
    for (const [, name = '', value = ''] of bytes.toString().matchAll(/^([^=\n]+)=(.*)$/gm))
      values[name] = value
    return values
  },
}

/** Every setting of one broker, by the names of broker.conf. */
export const GetBrokerConfig: Command<
  NoFields,
  NoFields,
  undefined,
  Readonly<Record<string, string>>
> = /* @__PURE__ */ defineCommand({
  code: 26,
  name: 'GET_BROKER_CONFIG',
  effect: 'read',
  responseBody: propertiesBody,
})
