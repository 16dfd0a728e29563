/** `hsm daemon`: runs in the foreground until it is told to stop. */
import type { Command } from 'commander';
import { daemonAnswers } from '../daemon/client.ts';
import { refusal } from '../errors.ts';
import { action, examples } from './command.ts';

export function define(command: Command): void {
  command
    .addHelpText(
      'after',
      `
Prints 'ready' (and tells systemd) when all stubs are guarded. SIGTERM stops it within 10 seconds: readers that wait get
EAGAIN, and so does who opens a stub while no daemon runs.
${examples('hsm daemon', 'hsm daemon --config /etc/hsm/hsm.toml', 'systemctl start hsm')}`,
    )
    .action(
      action(async (context) => {
        const { startDaemon } = await import('../daemon/start.ts');
        const config = context.config();
        const running = await daemonAnswers(config.socket);
        if (running !== null) throw refusal(`a daemon already runs for this configuration (pid ${running.pid})`);
        return startDaemon(config, context);
      }),
    );
}
