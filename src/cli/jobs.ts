/** `hsm jobs`: what was asked for in bulk, newest first. */
import type { Command } from 'commander';
import type { JobLine, Summary } from '../daemon/protocol.ts';
import { action, examples } from './command.ts';
import { list } from './listing.ts';
import { count } from './options.ts';
import { progressLine } from './progress.ts';
import type { Column } from './table.ts';
import { summaryLines } from './transfer.ts';

const columns: readonly Column<JobLine>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'KIND', value: (row) => row.kind },
  { title: 'STATE', value: (row) => row.state },
  { title: 'UID', value: (row) => row.uid, right: true },
  { title: 'ASKED', value: (row) => minute(row.createdAt) },
  { title: 'ENDED', value: (row) => (row.endedAt === null ? null : minute(row.endedAt)) },
  { title: 'WHAT', value: (row) => what(row) },
];

export function define(command: Command): void {
  command
    .option('--limit <n>', 'at most so many', count, 20)
    .addHelpText('after', examples('hsm jobs', 'hsm jobs --limit 100 --json'))
    .action(action((context, options: { readonly limit: number }) => list(context, 'jobs', { limit: options.limit }, columns, 'there was no job yet')));
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ');

function what(row: JobLine): string | null {
  if (row.progress !== null) return progressLine(row.progress, null, null);
  const summary = row.summary as Partial<Summary> | null;
  return summary?.summary === true ? summaryLines(summary as Summary, { method: row.kind as 'archive' }).join('; ') : null;
}
