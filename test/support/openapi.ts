/** docs/openapi.yaml as a check: of the document itself, and of what publishers and enders answer. */
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

interface Ref {
  $ref: string
}

interface Operation {
  requestBody: object | Ref
  responses: Record<string, Documented | Ref>
}

const document = parse(text) as { paths: Record<string, { post: Operation }> }
// `strict` knows JSON Schema's own words only, and a part of the document is looked up by its place in all of it.
const ajv: Ajv2020 = new Ajv2020({ strict: false, schemas: [{ ...document, $id: 'openapi' }] })

const at = (place: string): ValidateFunction => {
  const found = ajv.getSchema(`openapi#/${encodeURI(place)}`)
  assert.ok(found, `${place} is not in the document`)
  return found
}

/** What is documented at a place, or where that refers to. */
function follow<T extends object>(place: string, found: T | Ref): { place: string; found: T } {
  if (!('$ref' in found)) return { place, found }
  const referred = found.$ref.slice('#/'.length)
  const steps = referred.split('/')
  const value = steps.reduce<unknown>((from, step) => (from as Record<string, unknown>)[step], document)
  return { place: referred, found: value as T }
}

/** What the document says of POST to one path. */
export interface Contract {
  statuses: readonly number[]
  /** Whether a request is one that the document describes. */
  isRequest(body: unknown): boolean
  /** @throws AssertionError when the document says otherwise */
  check(answer: Answer): void
}

export function contractOf(path: string): Contract {
  const post = document.paths[path]?.post
  assert.ok(post, `${path} is not documented`)
  const operation = `paths/${path.replaceAll('/', '~1')}/post`
  return {
    statuses: Object.keys(post.responses).map(Number),
    isRequest(body) {
      const { place } = follow(`${operation}/requestBody`, post.requestBody)
      return at(`${place}/content/application~1json/schema`)(body) === true
    },
    check({ status, headers, body }) {
      const response = post.responses[status]
      assert.ok(response, `status ${status} is not documented`)
      const { place, found } = follow(`${operation}/responses/${status}`, response)
      const type = headers['content-type'] ?? ''
      assert.ok(Object.hasOwn(found.content, type), `${status} with ${type} is not documented`)
      const validate = at(`${place}/content/${type.replaceAll('/', '~1')}/schema`)
      assert.ok(validate(body), `${status}: ${JSON.stringify(validate.errors)} of ${JSON.stringify(body)}`)
      for (const name of Object.keys(found.headers ?? {})) {
        const value = headers[name.toLowerCase()]
        assert.ok(at(`${place}/headers/${name}/schema`)(value), `${status}: ${name} is ${value}`)
      }
    },
  }
}
