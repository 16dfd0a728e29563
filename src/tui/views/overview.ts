/** The overview: daemon, filesystems, recalls, drives, and what waits longest. */
import { pauseInWords } from '../../cli/columns.ts';
import { formatDuration, formatRate, formatSize } from '../../units.ts';
import { clock, type Moment, shown, shownPath } from '../listing.ts';
import { groupsOf } from '../listings/groups.ts';
import { blockedProcesses, programOf, since, until } from '../listings/requests.ts';
import { driveLoad, driveState, driveStyle } from '../listings/media.ts';
import { eventInWords } from '../listings/work.ts';
import type { Mirror, Sample } from '../mirror.ts';
import { fit, fitLine, type Line, type Style } from '../text.ts';

/** Rates are means of so many seconds. */
const rateWindowMs = 10_000;
const bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/** At most `height` lines; what matters most is first. */
export function overviewLines(mirror: Mirror, moment: Moment, width: number, height: number): Line[] {
  if (mirror.status === null) return [fitLine([['dim', ' waiting for the daemon']], width)];
  const blocks = [daemonLines(mirror, moment), recallLines(mirror, moment, width), driveLines(mirror), tapeLines(mirror, moment), waitLines(mirror, moment), eventLines(mirror, moment)];
  return share(blocks, height).map((line) => fitLine(line, width));
}

/** Each block gets lines in turn until there are none left: a long one does not push the others out. */
function share(blocks: readonly (readonly Line[])[], height: number): Line[] {
  const given = blocks.map(() => 0);
  let left = height - (blocks.length - 1);
  for (let turn = 0; left > 0; turn += 1) {
    const before = left;
    blocks.forEach((block, i) => {
      if (left > 0 && turn < block.length) {
        given[i] = turn + 1;
        left -= 1;
      }
    });
    if (left === before) break;
  }
  return blocks.flatMap((block, i) => (given[i] === 0 ? [] : [...block.slice(0, given[i]), blank])).slice(0, height);
}

const blank: Line = [['plain', '']];

const label = (text: string): readonly [Style, string] => ['title', fit(` ${text}`, 13)];

function daemonLines({ status }: Mirror, { now, userName }: Moment): Line[] {
  if (status === null) return [];
  const { daemon, keeper, filesystems } = status;
  const lines: Line[] = [];
  if (keeper.overflow) lines.push([label('INCIDENT'), ['bad', `the kernel lost events ${keeper.overflow.count} times, last ${shown(keeper.overflow.at)}: programs may have read zeros`]]);
  for (const { uid, exe, requests, since: began } of status.recalls.storms ?? []) {
    lines.push([label('STORM'), ['bad', `${userName(uid)} asks for ${number(requests)} files with ${programOf(exe)}, since ${since(began, now)}: P pauses that user`]]);
  }
  for (const each of status.pauses ?? []) lines.push([label('PAUSED'), ['warn', shown(pauseInWords(each))]]);
  const up = formatDuration((now - Date.parse(daemon.startedAt)) / 1000);
  lines.push([label('daemon'), ['plain', `hsm ${shown(daemon.version)}, pid ${daemon.pid}, up ${up}`], keeper.pid === null ? ['bad', ', keeper not running'] : ['plain', `, keeper ${keeper.pid}`]]);
  for (const { path, type, guard, stubs, archived, warning } of filesystems) {
    const guarded: readonly [Style, string] = guard === 'pre-access' ? ['good', 'guarded'] : guard === 'open-only' ? ['warn', 'guarded at open'] : ['bad', 'NOT GUARDED'];
    lines.push([label('filesystem'), ['plain', `${shownPath({ path })} (${shown(type)}) `], guarded, ['plain', `, ${number(stubs)} stubs, ${number(archived)} archived`]]);
    if (warning) lines.push([label(''), ['bad', shown(warning)]]);
  }
  return lines;
}

function recallLines(mirror: Mirror, { now }: Moment, width: number): Line[] {
  const { queued = 0, active = 0, failed = 0 } = mirror.status?.recalls ?? {};
  const waiting = blockedProcesses(mirror);
  const oldest = waiting[0];
  const { files, bytes } = rateOf(mirror.samples, now);
  return [
    [
      label('recalls'),
      ['title', `${number(queued)} queued`],
      ['plain', ', '],
      [active > 0 ? 'busy' : 'plain', `${number(active)} active`],
      ['plain', ', '],
      [failed > 0 ? 'bad' : 'plain', `${number(failed)} failed`],
      ['plain', `, ${number(waiting.length)} processes blocked`],
    ],
    [label('rate'), ['plain', `${files.toFixed(files < 10 ? 1 : 0)} files/s, ${formatSize(bytes)}/s`], ['plain', oldest === undefined ? '' : `; oldest wait ${since(oldest.request.askedAt, now)}`]],
    [label(''), ['spark', sparkline(mirror.samples, Math.max(8, Math.min(width - 32, 120)))], ['dim', ' files/s']],
  ];
}

const number = (value: number): string => value.toLocaleString('en-US');

function rateOf(samples: readonly Sample[], now: number): Pick<Sample, 'files' | 'bytes'> {
  const lately = samples.filter(({ at }) => at > now - rateWindowMs);
  const mean = (key: 'files' | 'bytes'): number => (lately.length === 0 ? 0 : lately.reduce((sum, each) => sum + each[key], 0) / lately.length);
  return { files: mean('files'), bytes: mean('bytes') };
}

/** Files a second, the newest on the right; the highest bar is the most of what is shown. */
export function sparkline(samples: readonly Pick<Sample, 'files'>[], width: number): string {
  const values = samples.slice(-width).map(({ files }) => files);
  const most = Math.max(...values, 1e-9);
  const drawn = values.map((value) => (value <= 0 ? ' ' : (bars[Math.min(bars.length - 1, Math.floor((value / most) * bars.length))] ?? '█')));
  return drawn.join('').padStart(width);
}

function driveLines(mirror: Mirror): Line[] {
  return [...mirror.drives.values()].map((drive) => {
    const { active, queued } = driveLoad(drive, mirror);
    const load = active + queued === 0 ? '' : `  ${number(active)} active, ${number(queued)} queued`;
    const rate = typeof drive.rate === 'number' && drive.rate > 0 ? formatRate(drive.rate) : '';
    const purpose = drive.admin === 'up' && 'purpose' in drive && typeof drive.purpose === 'string' ? ` (${drive.purpose})` : '';
    return [label('drive'), ['plain', fit(shown(drive.name), 12)], [driveStyle(drive), fit(driveState(drive) + purpose, 15)], ['plain', fit(shown(drive.barcode), 9)], ['plain', rate], ['plain', load], ['warn', drive.reason === null ? '' : `  ${shown(drive.reason)}`]];
  });
}

function tapeLines(mirror: Mirror, { now }: Moment): Line[] {
  return groupsOf(mirror, 'tape').slice(0, 8).map(({ name, requests, processes, bytes, oldest, readyAt, place }) => [
    label('tape'),
    ['plain', fit(shown(name), 12)],
    ['plain', fit(shown(place), 15)],
    ['plain', `${number(requests.length)} files, ${formatSize(bytes)}, ${number(processes)} blocked, oldest ${since(oldest, now)}, all by ${until(readyAt, now)}`],
  ]);
}

function waitLines(mirror: Mirror, { now, userName }: Moment): Line[] {
  return blockedProcesses(mirror).slice(0, 8).map(({ request, waiter }) => [
    label('blocked'),
    ['plain', fit(`${programOf(waiter.exe)}[${waiter.pid}]`, 18)],
    ['plain', ` ${fit(userName(waiter.uid), 10)}`],
    ['warn', fit(since(request.askedAt, now), 8, { right: true })],
    ['plain', `  ETA ${fit(until(request.readyAt, now), 8)} ${shownPath(request)}`],
  ]);
}

function eventLines(mirror: Mirror, { now }: Moment): Line[] {
  const newest = [...mirror.events.values()].sort((a, b) => b.id - a.id).slice(0, 8);
  return newest.map((event) => [label('event'), ['dim', `${clock(Date.parse(event.at), now)} `], ['plain', `${shown(event.kind)} ${eventInWords(event)}`]]);
}
