/** Users of a real broker with access control, and what they are granted. */
import { type Command, type NoFields, noBody } from '../../../src/commands/define.ts'
import { jsonBody } from '../../../src/commands/json.ts'
import type { Client } from '../../../src/index.ts'
import type { LocalUser } from '../../../src/testing/index.ts'

/** Actions by resource: `{ 'Topic:orders': ['Pub'] }`. */
export type Grants = NonNullable<LocalUser['grants']>

interface AclBody {
  subject: string
  policies: { policyType: string; entries: { resource: string; actions: string[]; decision: string }[] }[]
}

/** Requests of an administrator of users, which the catalogue leaves out. */
const admin = <Request, Body>(code: number, name: string, request: Command<Request>['request']) =>
  ({
    code,
    name,
    to: 'broker',
    effect: 'idempotent',
    request,
    response: {},
    requestBody: jsonBody<Body>('body', () => {
      throw new Error('written only')
    }),
    responseBody: noBody,
    answers: {},
  }) satisfies Command<Request, NoFields, Body>
interface UserBody {
  username: string
  password: string
  userType: string
  userStatus: string
}

const CreateUser = admin<{ username: string }, UserBody>(3001, 'AUTH_CREATE_USER', { username: 'string' })
const UpdateUser = admin<{ username: string }, UserBody>(3002, 'AUTH_UPDATE_USER', { username: 'string' })
const CreateAcl = admin<{ subject: string }, AclBody>(3006, 'AUTH_CREATE_ACL', { subject: 'string' })
const UpdateAcl = admin<{ subject: string }, AclBody>(3007, 'AUTH_UPDATE_ACL', { subject: 'string' })

/** Creates a user whose key is the name and `-secret`. */
export const createUser = (root: Client, address: string, username: string, grants: Grants): Promise<void> =>
  setUser(root, address, username, { secretKey: `${username}-secret`, grants })

/** Creates a user; or changes one that is known, but for its grants. */
export async function setUser(
  root: Client,
  address: string,
  username: string,
  { secretKey, grants, disabled = false }: LocalUser,
): Promise<void> {
  const limits = { deadline: root.deadline() }
  const body = {
    username,
    password: secretKey,
    userType: grants ? 'Normal' : 'Super',
    userStatus: disabled ? 'disable' : 'enable',
  }
  // A user that is created is enabled, whatever the request says.
  const isNew = await root.network.call(address, CreateUser, { username }, body, limits).then(
    () => true,
    () => false,
  )
  if (!isNew || disabled) await root.network.call(address, UpdateUser, { username }, body, limits)
  if (isNew && grants && Object.keys(grants).length > 0)
    await write(root, address, CreateAcl, username, grants)
}

/** Grants more to a user. @param isFirst nothing was granted before: brokers make a difference */
export const grant = (
  root: Client,
  address: string,
  username: string,
  grants: Grants,
  isFirst: boolean,
): Promise<void> => write(root, address, isFirst ? CreateAcl : UpdateAcl, username, grants)

async function write(
  root: Client,
  address: string,
  command: typeof CreateAcl,
  username: string,
  grants: Grants,
): Promise<void> {
  const subject = `User:${username}`
  const entries = Object.entries(grants).map(([resource, actions]) => ({
    resource,
    actions: [...actions],
    decision: 'Allow',
  }))
  const body = { subject, policies: [{ policyType: 'Custom', entries }] }
  await root.network.call(address, command, { subject }, body, { deadline: root.deadline() })
}
