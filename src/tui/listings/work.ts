/** Jobs and events. */
import { progressLine } from '../../cli/progress.ts';
import { summaryLines } from '../../cli/transfer.ts';
import type { EventLine, JobLine, Summary } from '../../daemon/protocol.ts';
import { clock, erased, shown } from '../listing.ts';
import type { Style } from '../text.ts';
import { since } from './requests.ts';

const jobStyle = ({ state }: JobLine): Style => (state === 'failed' ? 'bad' : state === 'running' ? 'busy' : state === 'done' ? 'good' : 'plain');

/** How far a job is, or how it ended. */
export function jobInWords(job: JobLine): string {
  if (job.progress !== null) return progressLine(job.progress, null, null);
  const summary = job.summary as Partial<Summary & { error: string }> | null;
  if (summary?.summary === true && job.kind !== 'restore') return summaryLines(summary as Summary, { method: job.kind as 'archive' }).join('; ');
  return shown(summary?.error);
}

export const jobs = erased<JobLine>({
  columns: [
    { title: 'ID', width: 5, value: (row) => row.id, rank: (row) => Number(row.id.slice(1)) },
    { title: 'KIND', width: 8, value: (row) => row.kind },
    { title: 'STATE', width: 9, value: (row) => row.state, style: jobStyle },
    { title: 'USER', width: 10, from: 78, value: (row, { userName }) => userName(row.uid) },
    { title: 'ASKED', width: 19, from: 84, value: (row, { now }) => clock(Date.parse(row.createdAt), now), rank: (row) => row.createdAt },
    { title: 'TOOK', width: 7, right: true, value: (row, { now }) => (row.startedAt === null ? null : since(Date.parse(row.startedAt), row.endedAt === null ? now : Date.parse(row.endedAt))) },
    { title: 'WHAT', width: 12, grows: true, value: jobInWords },
  ],
  rows: (mirror) => [...mirror.jobs.values()].sort((a, b) => Number(b.id.slice(1)) - Number(a.id.slice(1))),
  keyOf: (row) => row.id,
  detail: (row, _mirror, { now, userName }) => [
    ['job', `${row.id}, ${row.kind}, asked by ${userName(row.uid)} ${since(Date.parse(row.createdAt), now)} ago`],
    ['state', row.state],
    ['so far', jobInWords(row)],
    ['asked for', shown(JSON.stringify(row.spec))],
    ...(row.summary === null ? [] : ([['summary', shown(JSON.stringify(row.summary))]] as const)),
  ],
  none: 'there was no job yet',
});

/** The data of an event as words: `name drive0, admin down`. */
export function eventInWords({ data }: EventLine): string {
  if (typeof data !== 'object' || data === null) return shown(typeof data === 'string' || typeof data === 'number' ? data : null);
  return Object.entries(data)
    .filter(([key, value]) => key !== 'pid' && value !== null)
    .map(([key, value]) => `${shown(key)} ${shown(typeof value === 'string' ? value : JSON.stringify(value))}`)
    .join(', ');
}

export const events = erased<EventLine>({
  columns: [
    { title: 'TIME', width: 19, value: (row, { now }) => clock(Date.parse(row.at), now), rank: (row) => row.id },
    { title: 'WHAT', width: 16, value: (row) => row.kind },
    { title: 'BY', width: 10, value: (row, { userName }) => (row.uid === null ? null : userName(row.uid)) },
    { title: 'PID', width: 8, right: true, from: 90, value: (row) => row.pid },
    { title: 'DETAILS', width: 12, grows: true, value: eventInWords },
  ],
  rows: (mirror) => [...mirror.events.values()].sort((a, b) => b.id - a.id),
  keyOf: (row) => String(row.id),
  detail: (row, _mirror, { userName }) => [
    ['event', `${row.id}, ${shown(row.kind)}, ${row.at}`],
    ['by', row.uid === null ? 'the daemon' : `${userName(row.uid)} (uid ${row.uid}${row.pid === null ? '' : `, pid ${row.pid}`})`],
    ['details', eventInWords(row)],
  ],
  none: 'nothing was logged yet',
});
