/**
 * middy middleware: a warm, thaw-checked client on the context, in the manner of middy's own client middlewares.
 */
import { checkKeys } from '../client/options.ts'
import { ConfigError } from '../errors.ts'
import { type ClientOption, clientOf } from './client-option.ts'

export interface RocketMQMiddlewareOptions {
  /** The property of the context that holds the client. @default 'rocketmq' */
  contextKey?: string | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
}

/** The part of a middy middleware object that this one has; it fits `middy().use()`. */
export interface RocketMQMiddleware {
  before: (request: { context: object }) => Promise<void>
}

/**
 * @example
 * export const handler = middy()
 *   .use(rocketmq())
 *   .handler(async (event, context) => { await createProducer(context.rocketmq, { producerGroup: 'api' }).send(…) })
 * @throws ConfigError naming the option, when it is made
 */
export function rocketmq(options: RocketMQMiddlewareOptions = {}): RocketMQMiddleware {
  checkKeys('rocketmq', options, ['contextKey', 'client'])
  const { contextKey = 'rocketmq', client: clientOption } = options
  if (typeof contextKey !== 'string' || contextKey === '')
    throw new ConfigError('contextKey', 'takes a non-empty string')
  const client = clientOf(clientOption)
  return {
    before: async function rocketmqMiddlewareBefore({ context }): Promise<void> {
      await client.thaw()
      Object.defineProperty(context, contextKey, {
        value: client,
        configurable: true,
        enumerable: false,
        writable: true,
      })
    },
  }
}
