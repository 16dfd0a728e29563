/** The screens of `hsm tui` that are made of the recall queue, as lists: blocked processes, failed recalls, groups. */
import { withClient } from '../daemon/client.ts';
import type { QueueLine, Status } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { type AnyListing, shown } from '../tui/listing.ts';
import { type Group, groupListings, groupsOf } from '../tui/listings/groups.ts';
import { blocked, blockedProcesses, failed } from '../tui/listings/requests.ts';
import type { Request } from '../tui/mirror.ts';
import type { Context } from './command.ts';
import { tableLines } from './table.ts';
import { userNames } from './users.ts';

interface Queue {
  readonly lines: ReadonlyMap<string, QueueLine>;
  readonly requests: ReadonlyMap<string, Request>;
  readonly status: Status;
  readonly now: number;
}

export async function showBlocked(context: Context): Promise<ExitCode> {
  const queue = await askQueue(context);
  const rows = blockedProcesses(queue);
  const json = rows.map(({ request, waiter }) => {
    const { path, pathBase64, state, volume, position, eta, age } = queue.lines.get(request.id) ?? emptyLine;
    return { ...waiter, request: request.id, path, ...(pathBase64 === undefined ? {} : { pathBase64 }), state, volume, position, eta, age };
  });
  return showRows(context, blocked, rows, json, queue.now);
}

export async function showFailed(context: Context): Promise<ExitCode> {
  const queue = await askQueue(context);
  const lines = [...queue.lines.values()].filter(({ state }) => state === 'failed').sort((a, b) => a.age - b.age);
  return showRows(context, failed, lines.map(({ id }) => queue.requests.get(id)), lines, queue.now);
}

export async function showGroups(context: Context, by: Group['by']): Promise<ExitCode> {
  const { requests, status, now } = await askQueue(context);
  const drives = new Map(status.drives.map((drive) => [drive.name, drive]));
  const volumes = new Map(status.volumes.map((volume) => [volume.barcode, volume]));
  const groups = groupsOf({ requests, drives, volumes }, by);
  const seconds = (at: number): number => Math.round(Math.abs(at - now) / 1000);
  const json = groups.map(({ name, active, processes, bytes, done, oldest, readyAt, place, requests: all }) => ({
    [by]: by === 'user' && name !== 'job' ? Number(name) : name,
    requests: all.length,
    active,
    processes,
    bytes,
    done,
    oldest: seconds(oldest),
    eta: readyAt === null ? null : seconds(readyAt),
    ...(by === 'tape' ? { location: place } : {}),
  }));
  return showRows(context, groupListings[by], groups, json, now);
}

const emptyLine: Partial<QueueLine> = {};

async function askQueue(context: Context): Promise<Queue> {
  return withClient(context.config().socket, async (client) => {
    const [rows, status] = await Promise.all([client.rows('queue'), client.call('status')]);
    const now = Date.now();
    const lines = new Map((rows as QueueLine[]).map((line) => [line.id, line] as const));
    const requests = new Map([...lines].map(([id, { age, eta, ...line }]) => [id, { ...line, askedAt: now - age * 1000, readyAt: eta === null ? null : now + eta * 1000 }] as const));
    return { lines, requests, status: status as Status, now };
  });
}

function showRows(context: Context, { columns, none }: AnyListing, rows: readonly unknown[], json: readonly object[], now: number): ExitCode {
  const moment = { now, userName: userNames() };
  if (context.json) for (const row of json) context.out.json(row);
  else if (rows.length === 0) {
    if (!context.quiet) context.out.line(none);
  } else {
    const plain = columns.map((column) => ({ title: column.title, right: column.right ?? false, value: (row: unknown) => shown(column.value(row, moment)) }));
    for (const line of tableLines(rows, plain)) context.out.line(line);
  }
  return exitCodes.done;
}
