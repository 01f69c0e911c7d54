/** Loaded by `--import`: the package's own name leads to its sources, so that an example runs without a build. */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    const entry = /^rocketmq-lambda(?:\/(\w+))?$/.exec(specifier)
    if (!entry) return next(specifier, context)
    const path = entry[1] === 'errors' ? 'errors.ts' : `${entry[1] ?? '.'}/index.ts`
    return { url: new URL(`../../src/${path}`, import.meta.url).href, shortCircuit: true }
  },
})
