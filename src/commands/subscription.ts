/** SubscriptionData (upstream protocol.heartbeat.SubscriptionData): what a consumer wants of one topic. */
import { boolean, int, list, long, object, orElse, type Read, text } from './json.ts'

export interface SubscriptionData {
  topic: string
  /** The filter expression; `*` is everything. */
  subString: string
  /** `TAG` or `SQL92`. */
  expressionType: string
  /** The tags of a TAG expression; empty for `*` and SQL92. */
  tagsSet: string[]
  /** `String.hashCode` of each tag: the broker filters by these alone, so a body without them receives everything. */
  codeSet: number[]
  /** Epoch ms; a larger one replaces the registered subscription. */
  subVersion: bigint
  /** Server-side filter classes are gone since 4.x: always false. */
  classFilterMode: boolean
}

/** The Go client writes the codes as text, and Java's parser takes them. */
const code: Read<number> = (value, path) => int(typeof value === 'string' ? Number(value) : value, path)

export const readSubscriptionData: Read<SubscriptionData> = /* @__PURE__ */ object<SubscriptionData>({
  topic: text,
  subString: /* @__PURE__ */ orElse(text, '*'),
  expressionType: /* @__PURE__ */ orElse(text, 'TAG'),
  tagsSet: /* @__PURE__ */ orElse(/* @__PURE__ */ list(text), []),
  codeSet: /* @__PURE__ */ orElse(/* @__PURE__ */ list(code), []),
  subVersion: /* @__PURE__ */ orElse(long, 0n),
  classFilterMode: /* @__PURE__ */ orElse(boolean, false),
})
