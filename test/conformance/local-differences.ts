/** What the local broker does not do: it stands here and in docs/testing.md, and nowhere else. */

/** Name of a case → why the local broker fails it. */
export const differences: Readonly<Record<string, string>> = {}

/** Commands without a handler, or that never succeed. */
export const unanswered: readonly number[] = []
