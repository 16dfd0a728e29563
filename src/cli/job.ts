/** A job of the daemon as a command follows it: rows as they come, progress on a terminal, ^C cancels it. */
import { connect } from '../daemon/client.ts';
import type { Method } from '../daemon/protocol.ts';
import type { Context } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { ProgressView } from './progress.ts';

/** What jobs end with: `interrupted` is true of one that was cancelled. */
interface Ended {
  readonly interrupted?: boolean;
}

/** Resolves with what the job ended with; `interrupted` also after a ^C that came too late. */
export async function followJob<Summary extends Ended>(context: Context, method: Method, params: Readonly<Record<string, unknown>>, onRow: (row: unknown) => void): Promise<{ readonly summary: Summary; readonly interrupted: boolean }> {
  const view = context.json || context.quiet ? null : new ProgressView(process.stderr);
  const client = await connect(context.config().socket);
  // Before the request is on its way: from then on a ^C must reach the job.
  const interrupt = onInterrupt(() => void started.cancel().catch(() => undefined));
  const started = client.start(method, params, {
    row: (row) => {
      view?.clear();
      onRow(row);
    },
    progress: (progress) => view?.update(progress),
  });
  try {
    const summary = (await started.result) as Summary;
    return { summary, interrupted: interrupt.seen || summary.interrupted === true };
  } finally {
    view?.clear();
    interrupt.off();
    client.close();
  }
}
