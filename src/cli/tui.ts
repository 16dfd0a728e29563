/** `hsm tui`: the recall queue and the rest, full screen. */
import { setFlagsFromString } from 'node:v8';
import { type Command, Option } from 'commander';
import { exitCodes, usageError } from '../errors.ts';
import { screens, type ScreenId } from '../tui/screens.ts';
import { type Colours, theme, themeOf } from '../tui/theme.ts';
import { action, examples } from './command.ts';

interface TuiFlags {
  readonly screen: ScreenId;
  readonly colours?: Colours;
}

export function define(command: Command): void {
  command
    .addOption(new Option('--screen <name>', 'the screen to begin with').choices(screens.map(({ id }) => id)).default('overview'))
    .addOption(new Option('--colours <n>', 'how many the terminal has (default: as TERM says; NO_COLOR: none)').choices(['none', '16', '256']))
    .addHelpText('after', `\nPress ? for the keys. What it shows is also: hsm status, queue [--per tape], blocked, failed,\njobs, events, drive ls and tape ls, with --json.\n${examples('hsm tui', 'hsm tui --screen requests', 'NO_COLOR=1 hsm tui')}`)
    .action(
      action(async (context, { screen, colours }: TuiFlags) => {
        if (!process.stdin.isTTY || !process.stdout.isTTY || process.env['TERM'] === 'dumb') throw usageError(`hsm tui needs a terminal: hsm status, hsm queue, hsm jobs and others say the same without one`);
        const { socket } = context.config();
        const found = themeOf(process.env);
        // It holds little and runs long: a small heap that is collected often, in place of a fast one.
        for (const flag of ['--semi-space-growth-factor=1', '--optimize-for-size']) setFlagsFromString(flag);
        const { runTui } = await import('../tui/index.ts');
        await runTui({ socket, screen, theme: colours === undefined ? found : theme(colours, found.unicode) });
        return exitCodes.done;
      }),
    );
}
