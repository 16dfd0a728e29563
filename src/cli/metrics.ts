/** `hsm metrics`: what Prometheus reads from the metrics socket. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import { exitCodes } from '../errors.ts';
import type { Family } from '../monitoring/exposition.ts';
import { action, examples } from './command.ts';

export function define(command: Command): void {
  command.addHelpText('after', examples('hsm metrics > /var/lib/prometheus/node-exporter/hsm.prom', `hsm metrics --json | jq 'select(.name == "hsm_drive_up")'`)).action(
    action(async (context) => {
      await withClient(context.config().socket, async (client) => {
        if (context.json) {
          const families = (await client.rows('metrics', { json: true })) as Family[];
          for (const { samples, ...family } of families) for (const sample of samples) context.out.json({ ...family, ...sample });
        } else {
          const { text } = (await client.call('metrics', { json: false })) as { readonly text: string };
          context.out.line(text.trimEnd());
        }
      });
      return exitCodes.done;
    }),
  );
}
