/**
 * The codes of the protocol as namespaces: `RequestCode.PULL_MESSAGE`. esbuild keeps the whole table of a namespace that is
 * re-exported, so code that ends in a function's bundle imports the constants from their own file.
 */
export * as LanguageCode from './language-codes.ts'
export * as RequestCode from './request-codes.ts'
export * as ResponseCode from './response-codes.ts'
