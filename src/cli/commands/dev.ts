/** `rocketmq-lambda dev`. */
import { type Command, InvalidArgumentError } from 'commander'
import { list, pairs, whole } from '../arguments.ts'
import type { DevOptions } from '../dev/run.ts'

const MAX_SPEED = 10_000_000

const EXAMPLES = `
Examples:
  rocketmq-lambda dev                    ./serverless.yml, or the package's own
  rocketmq-lambda dev --speed 60         a minute passes in a second
  rocketmq-lambda dev --stage test --env LOG_LEVEL=debug
  rocketmq-lambda dev --port 0 --http-port 0 --lambda-port 0`

export function addDev(program: Command): void {
  program
    .command('dev')
    .summary('run functions with a local broker and a local Lambda until Ctrl-C')
    .description(
      'Run functions with a local broker and a local Lambda until Ctrl-C: sources are bundled anew when they change, and ' +
        'invocations and the lag of queues are shown as they happen.',
    )
    .option('--config <file>', 'a serverless.yml (default: ./serverless.yml, if it is there)')
    .option('--port <port>', 'port of the name server; 0 takes a free one, here and below', port, 9876)
    .option('--http-port <port>', 'port of the HTTP API', port, 3000)
    .option('--lambda-port <port>', "port of Lambda's Invoke API", port, 3001)
    .option('--topic <name>', 'a topic to begin with; may be repeated', list)
    .option('--stage <name>', `for \${sls:stage}, \${opt:stage} and the params of the file`, 'dev')
    .option('--param <name=value>', `for \${param:name}; may be repeated`, pairs)
    .option('--env <NAME=value>', 'a variable of every function; may be repeated', pairs)
    .option('--speed <n>', 'schedules, delays and retries run n times as fast', speed, 1)
    .addHelpText('after', EXAMPLES)
    .action(async (options: DevOptions) => {
      const { runDev } = await import('../dev/run.ts')
      await runDev(options)
    })
}

const port = whole(0, 65_535)

function speed(text: string): number {
  const number = Number(text)
  if (number > 0 && number <= MAX_SPEED) return number
  throw new InvalidArgumentError(`It takes a number above 0, up to ${MAX_SPEED}.`)
}
