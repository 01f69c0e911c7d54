/**
 * For classes whose getters read a field when it is asked for: what has all fields at once.
 */

/** An object's own fields, and what its getters give; undefined ones are left out. */
export const fieldsOf = (value: object): Record<string, unknown> => {
  const fields: Record<string, unknown> = { ...value }
  for (let kind = Object.getPrototypeOf(value); kind !== Object.prototype; kind = Object.getPrototypeOf(kind))
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(kind))) {
      const field = name in fields ? undefined : property.get?.call(value)
      if (field !== undefined) fields[name] = field
    }
  return fields
}

/** Lets the console show them, but for those named. */
export const showFields = <Kind extends { prototype: object }>(kind: Kind, ...hidden: string[]): Kind => {
  const value = function (this: object): object {
    const fields = fieldsOf(this)
    for (const name of hidden) delete fields[name]
    return fields
  }
  Object.defineProperty(kind.prototype, Symbol.for('nodejs.util.inspect.custom'), { value })
  return kind
}
