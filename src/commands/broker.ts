/** What a broker says of itself: GET_BROKER_CONFIG 26 and GET_BROKER_RUNTIME_INFO 28 (upstream AdminBrokerProcessor; protocol.md 16). */
import { malformed } from '../wire/checks.ts'
import { type BodyCodec, type Command, defineCommand, type NoFields } from './define.ts'
import { object, plainBody, record, text } from './json.ts'

/** Ten times what a broker has. */
const MAX_BYTES = 0x4_0000

/** `name=value` lines; nothing is escaped, so a value ends with its line and may hold `=`. */
const propertiesBody: BodyCodec<Readonly<Record<string, string>>> = {
  encode: (values) =>
    Buffer.from(
      Object.entries(values)
        .map((each) => `${each.join('=')}\n`)
        .join(''),
    ),
  decode(bytes) {
    if (bytes.length > MAX_BYTES) throw malformed('body', `must have at most ${MAX_BYTES} bytes`)
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

export interface BrokerRuntimeInfo {
  /** Figures as text, by name. With `bootTimestamp` (epoch ms) and `runtime` since then it tells the broker's clock. */
  table: Readonly<Record<string, string>>
}

/** Figures of one broker. Small changes from version to version: take none for granted. */
export const GetBrokerRuntimeInfo: Command<NoFields, NoFields, undefined, BrokerRuntimeInfo> =
  /* @__PURE__ */ defineCommand({
    code: 28,
    name: 'GET_BROKER_RUNTIME_INFO',
    effect: 'read',
    responseBody: /* @__PURE__ */ plainBody<BrokerRuntimeInfo>(
      'runtime info',
      /* @__PURE__ */ object<BrokerRuntimeInfo>({ table: /* @__PURE__ */ record(text) }),
    ),
  })
