/** Asks a drive how it is, and how the cartridge in it is: log pages, TapeAlert and the cartridge's chip. It only asks: no motion, nothing set. */
import {
  alertsOf,
  capacityCounters,
  counters,
  deviceCounters,
  errorCounters,
  logPages,
  logReplyLength,
  logSense,
  parseParameters,
  parseSupported,
  usageCounters,
  volumeCounters,
  type Counters,
  type LogPage,
} from './log-pages.ts';
import { attributesReplyLength, parseAttributes, readAttributes, type MediumAttributes } from './medium-attributes.ts';

/** Null, and keys left out: the drive does not tell. Numbers of hours, MB and MiB are as drives have them. */
export interface DriveReport {
  /** TapeAlert flags that are set, ascending. */
  readonly alerts: readonly number[] | null;
  /** Since the cartridge was loaded, with most drives. */
  readonly readErrors: Counters<typeof errorCounters> | null;
  readonly writeErrors: Counters<typeof errorCounters> | null;
  readonly device: Counters<typeof deviceCounters> | null;
  readonly volume: Counters<typeof volumeCounters & typeof usageCounters & typeof capacityCounters> | null;
  readonly medium: MediumAttributes | null;
}

/** One command of up to `reply` bytes of answer; null where the drive refuses it. Fails when the drive cannot be reached. */
export type Ask = (cdb: Buffer, reply: number) => Promise<Buffer | null>;

/** Asks one drive again and again. What it does not have is asked for once a cartridge and not again. */
export class Examination {
  readonly #ask: Ask;
  #supported: Promise<ReadonlySet<number>> | null = null;
  #hasChip = true;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Null when the drive tells nothing at all. Fails with what `ask` fails with. */
  async report(): Promise<DriveReport | null> {
    const alerts = await this.#page('tapeAlert');
    const [readErrors, writeErrors] = [await this.#counters('readErrors', errorCounters), await this.#counters('writeErrors', errorCounters)];
    const device = await this.#counters('deviceStatistics', deviceCounters);
    const volume = (await this.#counters('volumeStatistics', volumeCounters)) ?? (await this.#counters('tapeUsage', usageCounters));
    const capacity = await this.#counters('tapeCapacity', capacityCounters);
    const report: DriveReport = {
      alerts: alerts === null ? null : alertsOf(alerts).sort((a, b) => a - b),
      readErrors,
      writeErrors,
      device,
      volume: volume === null && capacity === null ? null : { ...volume, ...capacity },
      medium: await this.#medium(),
    };
    return Object.values(report).every((part) => part === null) ? null : report;
  }

  async #counters<Codes extends Readonly<Record<string, number>>>(page: LogPage, codes: Codes): Promise<Counters<Codes> | null> {
    const parameters = await this.#page(page);
    return parameters === null ? null : counters(parameters, codes);
  }

  async #page(page: LogPage): Promise<Map<number, Buffer> | null> {
    this.#supported ??= this.#ask(logSense('supported'), logReplyLength).then((data) => (data === null ? new Set() : parseSupported(data)));
    if (!(await this.#supported).has(logPages[page])) return null;
    const data = await this.#ask(logSense(page), logReplyLength);
    const parameters = data === null ? null : parseParameters(data, page);
    return parameters === null || parameters.size === 0 ? null : parameters;
  }

  async #medium(): Promise<MediumAttributes | null> {
    if (!this.#hasChip) return null;
    const data = await this.#ask(readAttributes(), attributesReplyLength);
    this.#hasChip = data !== null;
    return data === null ? null : parseAttributes(data);
  }
}
