/** The `client` option of every binding: a client that is there already, or the options to create one. */
import { type Client, createClient } from '../client/client.ts'
import type { ClientOptions } from '../client/options.ts'
import { checkObject } from '../wire/checks.ts'

export type ClientOption = Client | ClientOptions

/** @throws ConfigError naming the option of the client */
export function clientOf(option: ClientOption | undefined): Client {
  if (option === undefined) return createClient()
  const isClient = typeof option === 'object' && option !== null && 'thaw' in option
  return isClient ? option : createClient(checkObject('client', option))
}
