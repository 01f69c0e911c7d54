/** docs/openapi.yaml as a check: of the document itself, and of what a publisher answers. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { parse } from 'yaml'

const text: string = readFileSync(join(import.meta.dirname, '../../docs/openapi.yaml'), 'utf8')

interface Documented {
  headers?: Record<string, { required?: boolean; schema: object }>
  content: Record<string, unknown>
}

/** What is read of an answer. */
export interface Answer {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>
  body: unknown
}

/** The faults of the document; undefined when there are none. */
export async function faultsOfDocument(): Promise<unknown> {
  const { valid, errors } = await new Validator().validate(parse(text))
  return valid ? undefined : errors
}

const operation = 'paths/~1topics~1{topic}~1messages/post'
const document = parse(text) as {
  paths: { '/topics/{topic}/messages': { post: { responses: Record<string, Documented> } } }
}
const responses: Record<string, Documented> = document.paths['/topics/{topic}/messages'].post.responses
// `strict` knows JSON Schema's own words only, and a part of the document is looked up by its place in all of it.
const ajv: Ajv2020 = new Ajv2020({ strict: false, schemas: [{ ...document, $id: 'openapi' }] })

export const documentedStatuses: readonly number[] = Object.keys(responses).map(Number)

const at = (place: string): ValidateFunction => {
  const found = ajv.getSchema(`openapi#/${encodeURI(place)}`)
  assert.ok(found, `${place} is not in the document`)
  return found
}

/** Whether a request is one that the document describes. */
export function isDocumentedRequest(body: unknown): boolean {
  return at(`${operation}/requestBody/content/application~1json/schema`)(body) === true
}

/** @throws AssertionError when the document says otherwise */
export function assertDocumented({ status, headers, body }: Answer): void {
  const documented = responses[status]
  assert.ok(documented, `status ${status} is not documented`)
  const type = headers['content-type'] ?? ''
  assert.ok(Object.hasOwn(documented.content, type), `${status} with ${type} is not documented`)
  const place = `${operation}/responses/${status}`
  const validate = at(`${place}/content/${type.replaceAll('/', '~1')}/schema`)
  assert.ok(validate(body), `${status}: ${JSON.stringify(validate.errors)} of ${JSON.stringify(body)}`)
  for (const name of Object.keys(documented.headers ?? {})) {
    const value = headers[name.toLowerCase()]
    const check = at(`${place}/headers/${name}/schema`)
    assert.ok(check(value), `${status}: ${name} is ${value}`)
  }
}
