/** Entry of `hsm`: runs the command that the arguments name and turns whatever goes wrong into an exit code. */
import { CommanderError } from 'commander';
import { buildProgram, commanderProblem } from './cli/program.ts';
import { report } from './cli/report.ts';
import { exitCodes } from './errors.ts';

const argv = process.argv.slice(2);
const end = argv.indexOf('--');
const json = (end === -1 ? argv : argv.slice(0, end)).includes('--json');

process.on('uncaughtException', (error) => process.exit(report(error, json)));

// A terminal or log that is gone must not turn a command's result into a crash.
process.stderr.on('error', () => undefined);

try {
  const program = await buildProgram(argv);
  await program.parseAsync(argv, { from: 'user' });
} catch (error) {
  const problem = error instanceof CommanderError ? commanderProblem(error, argv) : error;
  process.exitCode = problem === null ? exitCodes.done : report(problem, json);
}
