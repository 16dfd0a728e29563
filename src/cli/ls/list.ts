/** Prints files with their state: JSON lines, a table, or names alone. */
import { type ExitCode, exitCodes } from '../../errors.ts';
import { formatSize } from '../../units.ts';
import type { Context } from '../command.ts';
import { bytesOfArguments, pathKeys } from '../paths.ts';
import { report } from '../report.ts';
import { loadFileInfo } from './lookup.ts';
import { type Entry, scan } from './scan.ts';
import { fileState } from './state.ts';

export async function listFiles(context: Context, paths: readonly string[], options: { readonly long: boolean; readonly recursive: boolean }): Promise<ExitCode> {
  const config = context.config();
  const { entries, errors } = await scan(bytesOfArguments(paths), config.filesystems, options.recursive);
  const info = await loadFileInfo(config, entries, { notes: !context.json && !context.quiet });
  let index = 0;
  for (const entry of entries) {
    if (context.out.closed) break;
    const file = fileState(entry, info[index] ?? null);
    index += 1;
    const path = Buffer.from(entry.path, 'latin1');
    if (context.json) {
      const first = file.copies[0];
      context.out.json({
        ...pathKeys(path),
        state: file.state,
        size: entry.size,
        mtime: isoTime(entry.mtimeNs),
        volume: first?.volume ?? null,
        container: first?.container ?? null,
        object: file.object,
        copies: file.copies,
      });
    } else if (options.long) {
      context.out.line(`${file.state.padEnd(9)}  ${formatSize(entry.size).padStart(8)}  ${localMinute(entry.mtimeNs)}  ${place(file).padEnd(33)}  `, shownName(context, entry));
    } else {
      context.out.line(shownName(context, entry));
    }
  }
  context.out.flush();
  for (const error of errors) report(error, context.json);
  if (errors.length === 0) return exitCodes.done;
  return entries.length > 0 ? exitCodes.partial : exitCodes.failed;
}

const shownName = (context: Context, entry: Entry): string | Buffer => context.out.name(Buffer.from(entry.shown, 'latin1'));

function place(file: ReturnType<typeof fileState>): string {
  const first = file.copies[0];
  if (first === undefined) return 'on disk';
  const more = file.copies.length > 1 ? ` (+${file.copies.length - 1})` : '';
  return `${file.state === 'stub' || file.state === 'recalling' ? 'on tape' : 'on disk and tape'} ${first.volume}, container ${first.container}${more}`;
}

/** ISO 8601 in UTC with all nine digits. */
function isoTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  const date = new Date(Number(seconds) * 1000);
  const fraction = String(ns - seconds * 1_000_000_000n).padStart(9, '0');
  return Number.isNaN(date.getTime()) ? String(ns) : `${date.toISOString().slice(0, -5)}.${fraction}Z`;
}

function localMinute(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n));
  if (Number.isNaN(date.getTime())) return '????-??-?? ??:??';
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
