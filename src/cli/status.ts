/** `hsm status`: one screen of what is going on. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { DriveLine, Status, VolumeLine } from '../daemon/protocol.ts';
import { exitCodes } from '../errors.ts';
import { formatDuration, formatRate, formatSize } from '../units.ts';
import { pauseInWords } from './columns.ts';
import { action, examples } from './command.ts';
import { oneLine, printable } from './printable.ts';

export function define(command: Command): void {
  command.addHelpText('after', examples('hsm status', 'hsm status --json | jq .recalls')).action(
    action(async (context) => {
      const status = (await withClient(context.config().socket, (client) => client.call('status'))) as Status;
      if (context.json) context.out.json(status);
      else for (const line of statusLines(status, Date.now())) context.out.line(oneLine(line));
      return exitCodes.done;
    }),
  );
}

/** `now`: ms since the epoch. */
export function statusLines(status: Status, now: number): string[] {
  const { daemon, keeper, filesystems, recalls, drives, volumes } = status;
  const up = formatDuration((now - Date.parse(daemon.startedAt)) / 1000);
  const lines = [`daemon       hsm ${daemon.version}, pid ${daemon.pid}, up ${up}; keeper ${keeper.pid === null ? 'not running' : `pid ${keeper.pid}`}`];
  if (keeper.overflow) lines.push(`INCIDENT     the kernel lost events ${keeper.overflow.count} times, last ${keeper.overflow.at}: programs may have read zeros from stubs`);
  for (const each of filesystems) {
    const files = `${each.stubs.toLocaleString('en-US')} stubs, ${each.archived.toLocaleString('en-US')} archived`;
    lines.push(`filesystem   ${printable(each.path)} (${each.type}, ${guards[each.guard]}): ${files}`);
    if (each.warning) lines.push(`             ${each.warning}`);
  }
  lines.push(`recalls      ${recalls.queued} queued, ${recalls.active} active, ${recalls.failed} failed${heldBack(recalls)}`);
  for (const { uid, exe, requests } of recalls.storms ?? []) lines.push(`storm        user ${uid} asks for ${requests} files at once, most of them by ${printable(exe)}`);
  for (const each of status.pauses ?? []) lines.push(`PAUSED       ${pauseInWords(each)}`);
  for (const each of drives) lines.push(`drive        ${driveInWords(each)}`);
  lines.push(`volumes      ${volumesInWords(volumes)}`);
  return lines;
}

const guards: Readonly<Record<string, string>> = {
  'pre-access': 'guarded on every access',
  'open-only': 'guarded at open only: this kernel is older than 6.14',
  none: 'NOT GUARDED',
};

function driveInWords(drive: DriveLine): string {
  const holds = drive.barcode === null ? '' : `, holds ${drive.barcode}`;
  const rate = typeof drive.rate === 'number' && drive.rate > 0 ? `, ${formatRate(drive.rate)}` : '';
  return `${drive.name} ${drive.admin === 'up' ? drive.state : 'down'}${holds}${rate}${drive.reason === null ? '' : ` (${drive.reason})`}`;
}

function volumesInWords(volumes: readonly VolumeLine[]): string {
  const states = new Map<string, number>();
  for (const { state } of volumes) states.set(state, (states.get(state) ?? 0) + 1);
  const used = volumes.reduce((sum, each) => sum + each.used, 0);
  const capacity = volumes.reduce((sum, each) => sum + each.capacity, 0);
  const counts = [...states].map(([state, count]) => `${count} ${state}`).join(', ');
  return volumes.length === 0 ? `none: add some with 'hsm tape add'` : `${counts}; ${formatSize(used)} of ${formatSize(capacity)} used`;
}

function heldBack({ waiting = 0, refused = {} }: Status['recalls']): string {
  const rules = Object.entries(refused).map(([rule, count]) => `${count} by ${rule}`);
  return `${waiting > 0 ? `, ${waiting} held back` : ''}${rules.length > 0 ? `; refused ${rules.join(', ')}` : ''}`;
}
