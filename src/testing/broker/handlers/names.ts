/** The rules for names, with upstream's texts (TopicValidator, FAQUrl). */
import { INVALID_PARAMETER } from '../../../commands/response-codes.ts'
import { Refusal } from '../handler.ts'

const see = (page: string): string =>
  `\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details${page}.`

/** What follows many remarks of the reference. */
export const SEE_FAQ: string = see('')

const MAX_TOPIC = 127

/** @throws Refusal for a name that no topic can have */
export function checkTopic(topic: string): void {
  const wrong = (remark: string): never => {
    throw new Refusal(INVALID_PARAMETER, remark)
  }
  if (topic.trim() === '') wrong('The specified topic is blank.')
  if (!/^[%|\w-]+$/.test(topic))
    wrong('The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$')
  if (topic.length > MAX_TOPIC) wrong('The specified topic is longer than topic max length.')
}

export const noTopic = (topic: string): string => `topic[${topic}] not exist, apply first please!${SEE_FAQ}`
