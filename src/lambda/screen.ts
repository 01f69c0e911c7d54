/** Looks at messages before the handler gets them: whether they can be in its event, and whether a schema takes them. */
import type { Message } from '../client/values.ts'
import { ConfigError } from '../errors.ts'
import type { EventFormat } from './format.ts'
import type { StandardSchema } from './standard-schema.ts'

/** The reasons of those that cannot be handled. It throws when it could not find out. */
export type Screen = (messages: readonly Message[]) => Promise<ReadonlyMap<Message, string>>

/** @param parsed gets what the schema makes of the bodies */
export async function createScreen(
  { misfit }: EventFormat,
  schema: StandardSchema | undefined,
  parsed: WeakMap<Message, { value: unknown }>,
): Promise<Screen> {
  // Most functions have no schema: it is loaded for those that do.
  const { validate } = schema ? await import('./standard-schema.ts') : { validate: undefined }
  if (!misfit && !validate) return async () => new Map()
  return async (messages) => {
    const reasons = new Map<Message, string>()
    const look = async (message: Message): Promise<void> => {
      const reason = misfit?.(message) ?? (schema && (await validate?.(schema, message, parsed))?.reason)
      if (reason !== undefined) reasons.set(message, reason)
    }
    await Promise.all(messages.map(look))
    return reasons
  }
}

/** @throws ConfigError when it is no Standard Schema */
export function checkSchema(schema: unknown, field = 'schema'): StandardSchema | undefined {
  if (schema === undefined) return undefined
  // Those of ArkType are functions.
  const standard = (schema as Partial<StandardSchema> | null)?.['~standard']
  if (typeof standard?.validate === 'function') return schema as StandardSchema
  throw new ConfigError(field, 'takes a Standard Schema (of Zod, Valibot, ArkType, …)')
}
