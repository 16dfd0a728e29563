/** `hsm doctor --deep DIR`: the conformance suite of access paths on the admin's own filesystem. */
import { chmodSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessCases, type Filesystem, isExpected, layOut, type Result, runScript, runTrial, type Trial, type User, users, type Verdict } from '../../access/index.ts';
import { connect } from '../../daemon/client.ts';
import type { ArchiveParams, Summary } from '../../daemon/protocol.ts';
import { managedPath } from '../../daemon/managed-paths.ts';
import { type ExitCode, exitCodes, HsmError, usageError } from '../../errors.ts';
import { managedTypes, mountOf } from '../../mounts.ts';
import type { Context } from '../command.ts';
import { onInterrupt } from '../interrupt.ts';
import { wirePath } from '../paths.ts';
import { oneLine } from '../printable.ts';
import { summaryLines } from '../transfer.ts';

/** Long enough for tapes that must be fetched. */
const limitMs = 1_800_000;

interface Row {
  readonly trial: Trial;
  readonly verdict: Verdict;
}

/** 1 when a wrong byte was seen or something hung, 3 when what should work was refused or proved nothing. */
export async function examineDeeply(context: Context, directory: string): Promise<ExitCode> {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', 'hsm doctor --deep must run as root: it acts as other users and mounts views of the filesystem');
  const { filesystems, socket, archive } = context.config();
  managedPath(directory, filesystems);
  const parent = realpathSync(directory);
  if (!statSync(parent).isDirectory()) throw usageError(`${parent} is no directory`);
  const type = mountOf(parent)?.type ?? '';
  if (!managedTypes.includes(type)) throw new HsmError('NOT_MANAGED', `${parent} is on ${type}, which hsm does not manage`);
  const client = await connect(socket);
  const interrupt = onInterrupt(() => undefined);
  const folders: string[] = [];
  const newFolder = (above: string, name: string): string => {
    const path = mkdtempSync(join(above, name));
    folders.push(path);
    chmodSync(path, 0o755);
    return path;
  };
  try {
    const folder = newFolder(parent, '.hsm-doctor-');
    const elsewhere = newFolder(tmpdir(), 'hsm-doctor-');
    if (statSync(folder).dev === statSync(elsewhere).dev) throw usageError(`${tmpdir()} is on the same filesystem: set TMPDIR to another`);
    const able = await usersWhoReach([folder, elsewhere], context);
    const trials = await layOut(accessCases, able, { folder, elsewhere, type: type as Filesystem });
    const params: ArchiveParams = { paths: [wirePath(Buffer.from(folder))], olderThan: 86_400, by: 'used', include: [], exclude: [], pools: archive.pools, keepData: false, dryRun: false, verbose: false };
    const summary = (await client.call('archive', { ...params })) as Summary;
    if (summary.released < trials.length) throw new HsmError('ACCESS', `not all of ${trials.length} files became stubs: ${summaryLines(summary).join('; ')}`);
    const rows: Row[] = [];
    for (const trial of [...trials].sort((a, b) => accessCases.indexOf(a.case) - accessCases.indexOf(b.case))) {
      if (interrupt.seen) return exitCodes.interrupted;
      const row = { trial, verdict: await runTrial(trial, limitMs) };
      rows.push(row);
      showRow(context, row, type);
    }
    if (!context.json) showEnd(context, rows);
    return exitOf(rows);
  } finally {
    interrupt.off();
    client.close();
    for (const each of folders) rmSync(each, { recursive: true, force: true });
  }
}

/** Folders on the way may be closed to others. */
async function usersWhoReach(folders: readonly string[], context: Context): Promise<readonly User[]> {
  const able: User[] = [];
  for (const user of users) {
    const { exitCode } = await runScript(folders.map((_, index) => `test -x "$F${index}"`).join('; '), {
      user,
      folder: '/',
      environment: Object.fromEntries(folders.map((path, index) => [`F${index}`, path])),
      asRoot: false,
      limitMs,
    });
    if (exitCode === 0) able.push(user);
    else process.stderr.write(`hsm: ${user.name} cannot reach ${folders.join(' and ')}: left out\n`);
  }
  if (able.length === 0) throw new HsmError('EACCES', `nobody can reach ${folders.join(' and ')}${context.json ? '' : ': open their folders, or set TMPDIR'}`);
  return able;
}

function showRow({ out, json, quiet }: Context, { trial, verdict }: Row, type: string): void {
  const { case: each, user } = trial;
  const expected = isExpected(each, verdict);
  if (json) {
    out.json({ access: each.name, family: each.family, user: user.name, filesystem: type, result: verdict.result, reason: verdict.reason, expected, meaning: meaningOf(each.refused, verdict) });
  } else if (!quiet || !expected) {
    out.line(oneLine(`${verdict.result.padEnd(11)}  ${user.name.padEnd(6)}  ${each.family.padEnd(4)}  ${each.name.padEnd(32)}  ${verdict.reason ?? ''}`.trimEnd()));
  }
  out.flush();
}

const meaningOf = (refused: string | undefined, { result }: Verdict): string | null => (result === 'refused' ? (refused ?? 'hsm could not bring the data back, and says so: see hsm queue and the log of the daemon') : null);

function showEnd({ out }: Context, rows: readonly Row[]): void {
  const counts = new Map<Result, number>();
  for (const { verdict } of rows) counts.set(verdict.result, (counts.get(verdict.result) ?? 0) + 1);
  const wrong = counts.get('wrong') ?? 0;
  out.line();
  out.line([`${wrong} wrong`, ...[...counts].filter(([result]) => result !== 'wrong').map(([result, count]) => `${count} ${result}`)].join(', '));
  const meanings = new Map<string, Set<string>>();
  for (const { trial, verdict } of rows) {
    const meaning = meaningOf(trial.case.refused, verdict);
    if (meaning !== null) meanings.set(meaning, (meanings.get(meaning) ?? new Set()).add(trial.case.name));
  }
  for (const [meaning, names] of meanings) {
    out.line(oneLine(`refused: ${[...names].join('; ')}`));
    out.line(oneLine(`  -> ${meaning}`));
  }
  if (rows.some(({ trial }) => trial.case.types?.length === 1 && trial.case.types[0] === 'btrfs')) {
    out.line('not tried: btrfs send');
    out.line('  -> the kernel sends stubs as holes and asks nobody. Recall before the snapshot that is sent');
  }
}

function exitOf(rows: readonly Row[]): ExitCode {
  if (rows.some(({ verdict }) => verdict.result === 'wrong' || verdict.result === 'hung')) return exitCodes.failed;
  return rows.some(({ trial, verdict }) => verdict.result !== 'unavailable' && !isExpected(trial.case, verdict)) ? exitCodes.partial : exitCodes.done;
}
