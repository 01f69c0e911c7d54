/** SubscriptionData (upstream protocol.heartbeat.SubscriptionData): what a consumer wants of one topic. */
import type { JsonView } from './json.ts'

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

export function readSubscriptionData(view: JsonView): SubscriptionData {
  return {
    topic: view.at('topic').text(),
    subString: view.at('subString').text('*'),
    expressionType: view.at('expressionType').text('TAG'),
    tagsSet: view.at('tagsSet').list((tag) => tag.text(), []),
    codeSet: view.at('codeSet').list((code) => code.int(), []),
    subVersion: view.at('subVersion').long(0n),
    classFilterMode: view.at('classFilterMode').boolean(false),
  }
}
