/** The rules for names, with upstream's texts (TopicValidator, FAQUrl). */
import { INVALID_PARAMETER } from '../../../commands/response-codes.ts'
import { Refusal } from '../handler.ts'

const see = (page: string): string =>
  `\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details${page}.`

/** What follows many remarks of the reference. */
export const SEE_FAQ: string = see('')

const MAX_TOPIC = 127
const MAX_GROUP = 120

/** @throws Refusal for a name that no topic can have */
export const checkTopic = (topic: string): void => check('topic', topic, MAX_TOPIC)

/** @throws Refusal for a name that no group can have */
export const checkGroup = (group: string): void => check('group', group, MAX_GROUP)

function check(what: string, name: string, most: number): void {
  const wrong = (rule: string): never => {
    throw new Refusal(INVALID_PARAMETER, `The specified ${what}${rule}`)
  }
  if (name.trim() === '') wrong(' is blank.')
  if (!/^[%|\w-]+$/.test(name))
    wrong(`: ${name}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`)
  if (name.length > most) wrong(`: ${name}, is longer than ${what} max length: ${most}`)
}

export const noTopic = (topic: string, gap = ''): string =>
  `topic[${topic}] not exist, apply first please!${gap}${SEE_FAQ}`
