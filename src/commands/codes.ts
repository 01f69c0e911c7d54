/** The codes of the protocol as namespaces: `RequestCode.PULL_MESSAGE`. Bundlers keep only the members that are used. */
export * as LanguageCode from './language-codes.ts'
export * as RequestCode from './request-codes.ts'
export * as ResponseCode from './response-codes.ts'
