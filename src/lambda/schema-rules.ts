/** Words what is wrong with a value by a schema that has bounds, choices or unions: those of mappings and events. */
import { type Issue, kindOf, nearest, type Rules } from './schema.ts'

export const rules: Rules = {
  meant(issue) {
    if (issue.code !== 'invalid_union') return issue
    const isInside = ({ code, path }: Issue): boolean => code === 'unrecognized_keys' || path.length > 0
    const meant = nearest(issue.errors.find((some) => some.some(isInside)) ?? [], rules)
    return meant ? { ...meant, path: [...issue.path, ...meant.path] } : issue
  },

  describe(issue, got) {
    switch (issue.code) {
      case 'too_small':
        return `must ${sizeOf(issue.origin, 'at least', issue.minimum)}, got ${got}`
      case 'too_big':
        return `must ${sizeOf(issue.origin, 'at most', issue.maximum)}, got ${got}`
      case 'invalid_value':
        return `takes ${issue.values.map(String).join(', ')}; got ${got}`
      case 'invalid_union': {
        const forms = issue.errors.map(([first]) =>
          first?.code === 'invalid_type' ? kindOf(first.expected) : first?.message,
        )
        return `takes ${[...new Set(forms)].join(' or ')}, got ${got}`
      }
      case 'custom':
        return issue.message
      default:
        return undefined
    }
  },
}

function sizeOf(origin: string, bound: string, size: number | bigint): string {
  const unit = origin === 'string' ? 'character' : origin === 'array' ? 'element' : ''
  return unit ? `have ${bound} ${size} ${unit}${Number(size) === 1 ? '' : 's'}` : `be ${bound} ${size}`
}
