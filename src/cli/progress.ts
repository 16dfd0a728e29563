/** Progress on stderr: a bar that redraws on a terminal, a line now and then elsewhere. */
import type { Progress } from '../daemon/protocol.ts';
import { formatDuration, formatSize } from '../units.ts';
import { oneLine } from './printable.ts';

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Where the terminal does not say: one that a script makes has 0. */
const usualColumns = 80;
const redrawMs = 100;
const lineMs = 10_000;
const rateWindowMs = 10_000;

export class ProgressView {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #rate = new Rate();
  #shownAt: number;
  #drawn = false;

  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#shownAt = stream.isTTY === true ? Number.NEGATIVE_INFINITY : now();
  }

  update(progress: Progress): void {
    const now = this.#now();
    const rate = this.#rate.add(now, progress);
    if (now - this.#shownAt < (this.#stream.isTTY === true ? redrawMs : lineMs)) return;
    this.#shownAt = now;
    if (this.#stream.isTTY === true) {
      this.#stream.write(`\r${progressLine(progress, rate, (this.#stream.columns || usualColumns) - 1)}\x1b[K`);
      this.#drawn = true;
    } else {
      this.#stream.write(`${progressLine(progress, rate, null)}\n`);
    }
  }

  /** Takes the bar away, so that something else can be written; the next update draws it again. */
  clear(): void {
    if (this.#drawn) this.#stream.write('\r\x1b[K');
    this.#drawn = false;
  }
}

/** Bytes a second over the last ten seconds; a new phase starts anew. */
class Rate {
  #phase = '';
  #samples: { at: number; bytes: number }[] = [];

  /** Null until it can be told. */
  add(at: number, progress: Progress): number | null {
    if (progress.phase !== this.#phase) this.#samples = [];
    this.#phase = progress.phase;
    this.#samples.push({ at, bytes: progress.bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > rateWindowMs) this.#samples.shift();
    const first = this.#samples[0];
    return first === undefined || at - first.at < 500 ? null : ((progress.bytes - first.bytes) * 1000) / (at - first.at);
  }
}

/** `writing [####----] 12/200 files, 1.0/5.6 GiB, 93 MiB/s, 50s left`; the bar only where `width` leaves room, and never wider than that. */
export function progressLine(progress: Progress, rate: number | null, width: number | null): string {
  const { files, bytes, totalFiles, totalBytes } = progress;
  const number = (value: number) => value.toLocaleString('en-US');
  const facts = [
    totalFiles === null ? `${number(files)} files` : `${number(files)}/${number(totalFiles)} files`,
    totalBytes === null ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(totalBytes)}`,
  ];
  if (rate !== null && rate > 0) facts.push(`${formatSize(rate)}/s`);
  if (rate !== null && rate > 0 && totalBytes !== null && totalBytes > bytes) facts.push(`${formatDuration((totalBytes - bytes) / rate)} left`);
  if (progress.note !== undefined) facts.push(oneLine(progress.note));
  const phase = oneLine(progress.phase);
  const text = facts.join(', ');
  if (width === null) return `${phase}: ${text}`;
  const done = totalBytes !== null && totalBytes > 0 ? bytes / totalBytes : totalFiles !== null && totalFiles > 0 ? files / totalFiles : null;
  const room = Math.min(30, width - phase.length - text.length - 4);
  const line = done === null || room < 8 ? `${phase} ${text}` : `${phase} [${bar(done, room)}] ${text}`;
  return line.slice(0, Math.max(0, width));
}

function bar(done: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, done)) * width);
  return '#'.repeat(filled) + '-'.repeat(width - filled);
}
