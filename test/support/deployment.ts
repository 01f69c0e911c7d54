/** The deployment and the examples as osls packages them, and cfn-lint, which judges templates. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { unzipSync } from 'fflate'
import type { LocalFunction } from '../../src/testing/index.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const CFN_LINT_VERSION = '1.58.0'

/** Of JSON without a type: whatever is asked for may be there. */
export type Tree = ReturnType<typeof JSON.parse>

/** What CloudFormation is given; intrinsic functions are objects. */
export interface Resource {
  Type: string
  Condition?: string
  Properties: Tree
}

export interface Deployment {
  /** The folder that it was packaged into: zips and the template. */
  folder: string
  templatePath: string
  resources: Readonly<Record<string, Resource>>
}

/** Whoever opens a connection or looks up a name fails. */
const NO_NETWORK = `data:text/javascript,
import net from 'node:net'
import dns from 'node:dns'
const refuse = () => { throw new Error('packaging needs the network') }
net.Socket.prototype.connect = refuse
dns.lookup = refuse`

/**
 * `osls package`, without credentials and without a network. The functions have to be bundled.
 * @param folder where the zips and the template go
 * @param project the folder of the serverless.yml
 */
export async function packageDeployment(
  folder: string,
  parameters: Readonly<Record<string, string>>,
  project: string = root,
): Promise<Deployment> {
  const params = Object.entries(parameters).map(([name, value]) => `--param=${name}=${value}`)
  const osls = join(root, 'node_modules/osls/bin/serverless.js')
  const imported = `--import=${NO_NETWORK.replaceAll('\n', '%0A').replaceAll(' ', '%20')}`
  await run(process.execPath, [imported, osls, 'package', '--package', folder, ...params], {
    cwd: project,
    env: { PATH: process.env['PATH'], HOME: folder, AWS_EC2_METADATA_DISABLED: 'true' },
  })
  const templatePath = join(folder, 'cloudformation-template-update-stack.json')
  const { Resources } = JSON.parse(await readFile(templatePath, 'utf8')) as {
    Resources: Record<string, Resource>
  }
  return { folder, templatePath, resources: Resources }
}

/** Functions from the zips that are deployed, with what the template sets, for a local Lambda. */
export async function unpackedFunctions(
  { folder, resources }: Deployment,
  names: readonly string[],
): Promise<Record<string, LocalFunction>> {
  const functions: Record<string, LocalFunction> = {}
  for (const name of names) {
    const unpacked = join(folder, 'unpacked', name)
    for (const [path, bytes] of Object.entries(await unzip(join(folder, `${name}.zip`)))) {
      await mkdir(dirname(join(unpacked, path)), { recursive: true })
      await writeFile(join(unpacked, path), bytes)
    }
    const { Handler, Timeout, MemorySize, Environment } = functionOf(resources, name).Properties
    const [, path, exportName] = /^(.+)\.([^.]+)$/.exec(Handler) ?? []
    functions[name] = {
      handler: join(unpacked, `${path}.mjs`),
      exportName: exportName ?? '',
      timeoutSeconds: Timeout,
      memorySize: MemorySize,
      environment: Environment.Variables,
    }
  }
  return functions
}

/** Bundles an example by its own script, on the sources of this package. */
export async function bundleExample(project: string): Promise<void> {
  const { scripts } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as Tree
  const PATH = [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH']].join(
    delimiter,
  )
  const script = `${scripts.bundle} --log-level=warning --tsconfig=${join(root, 'tsconfig.json')}`
  await run('sh', ['-c', script], { cwd: project, env: { ...process.env, PATH } })
}

/** By its name of serverless.yml. */
export function functionOf(resources: Deployment['resources'], name: string): Resource {
  const found = Object.values(resources).find(
    ({ Type, Properties }) =>
      Type === 'AWS::Lambda::Function' && Properties.FunctionName.endsWith(`-dev-${name}`),
  )
  if (!found) throw new Error(`the template has no function ${name}`)
  return found
}

/** The files of a zip. */
export async function unzip(path: string): Promise<Record<string, Uint8Array>> {
  return unzipSync(await readFile(path))
}

/**
 * Whether cfn-lint is here or can be had from PyPI. False after one loud line.
 * @throws where CI asks for it and it cannot be had
 */
export async function cfnLintAvailable(): Promise<boolean> {
  try {
    await installCfnLint()
    return true
  } catch (cause) {
    const reason = 'cfn-lint needs python3 with venv (apt-get install -y python3-venv) and PyPI'
    if (process.env['CI']) throw new Error(reason, { cause })
    console.error(`\n*** THE TEST WITH CFN-LINT IS SKIPPED: ${reason} ***\n`)
    return false
  }
}

async function installCfnLint(): Promise<string> {
  const folder = join(root, '.build', `cfn-lint-${CFN_LINT_VERSION}`)
  const program = join(folder, 'bin/cfn-lint')
  if (existsSync(program)) return program
  await run('python3', ['-m', 'venv', folder])
  await run(join(folder, 'bin/pip'), ['install', '--quiet', `cfn-lint==${CFN_LINT_VERSION}`])
  return program
}

/** What cfn-lint says of a template, with .cfnlintrc.yml: nothing when it accepts it. */
export async function cfnLint(templatePath: string): Promise<string> {
  const program = await installCfnLint()
  const { stdout } = await run(program, ['--template', templatePath], { cwd: root }).catch(
    (error: { stdout?: string; message: string }) => ({ stdout: error.stdout || error.message }),
  )
  return stdout.trim()
}

/** What the policies of a role allow, a line for each statement. */
export function allowed({ Properties }: Resource): string[] {
  return Properties.Policies.flatMap(
    ({ PolicyDocument }: { PolicyDocument: { Statement: Record<string, never>[] } }) =>
      PolicyDocument.Statement.flatMap((each) => {
        const [condition, statement] = (each['Fn::If'] ?? ['', each]) as [string, Record<string, unknown>]
        if (statement['Effect'] !== 'Allow') return []
        const actions = [statement['Action']].flat().join(',')
        const resources = [statement['Resource']].flat().map(nameIn).join(',')
        return [`${condition ? `if ${condition} ` : ''}${actions} on ${resources}`]
      }),
  )
}

/** Of a function in a VPC, by Lambda's guide: all of these, and the last two on nothing narrower. */
export const networkGrants: readonly string[] = [
  'ec2:CreateNetworkInterface,ec2:DeleteNetworkInterface,ec2:AssignPrivateIpAddresses,ec2:UnassignPrivateIpAddresses on */*',
  'ec2:DescribeNetworkInterfaces,ec2:DescribeSubnets on *',
]

/** `function:name` of an ARN. By `!Sub`, because `!GetAtt` of a function in a role that the function has is a circle. */
export function nameIn(arn: unknown): string {
  if (typeof arn === 'string') return arn
  const { 'Fn::Sub': text, 'Fn::GetAtt': attribute } = arn as { 'Fn::Sub'?: string; 'Fn::GetAtt'?: string[] }
  if (attribute) return attribute.join('.')
  return /:(?:\$\{AWS::AccountId\}|\*):(.*)/.exec(text ?? '')?.[1] ?? JSON.stringify(arn)
}
