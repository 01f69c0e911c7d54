/** `rocketmq-lambda demo`. */
import type { Command } from 'commander'

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('publish, consume and commit on this machine, and say what happens')
    .description(
      'Publish, consume, commit, resolve an abandoned transaction, and redrive a dead letter, with a local broker and ' +
        'a local Lambda, and say what happens. It takes about two seconds, needs nothing but Node, and exits with 1 when anything is not as it ' +
        'should be.',
    )
    .addHelpText('after', '\nExample:\n  rocketmq-lambda demo')
    .action(async () => {
      const { runDemo } = await import('../demo/run.ts')
      // A step that hangs may have left something that keeps the process alive.
      if (!(await runDemo())) process.exit(1)
    })
}
