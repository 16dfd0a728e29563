/** What LOG SENSE returns: pages of parameters (SPC-5, LOG SENSE command and Log parameters; SSC-5, Log parameters). */

export const logPages = { supported: 0x00, writeErrors: 0x02, readErrors: 0x03, deviceStatistics: 0x14, volumeStatistics: 0x17, tapeAlert: 0x2e, tapeUsage: 0x30, tapeCapacity: 0x31 } as const;

export type LogPage = keyof typeof logPages;

/** More than any of these pages has. */
export const logReplyLength = 8192;

/** LOG SENSE of the cumulative values of a page. Nothing is saved, nothing is set. */
export function logSense(page: LogPage): Buffer {
  const cdb = Buffer.alloc(10);
  cdb[0] = 0x4d;
  // PC 01b: cumulative values.
  cdb[2] = 0x40 | logPages[page];
  cdb.writeUInt16BE(logReplyLength, 7);
  return cdb;
}

/** The pages that the drive has. */
export function parseSupported(data: Buffer): Set<number> {
  return new Set(isPage(data, logPages.supported) ? payload(data) : []);
}

/** Values by parameter code; empty when the reply is another page, or cut so short that nothing is whole. */
export function parseParameters(data: Buffer, page: LogPage): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  if (!isPage(data, logPages[page])) return found;
  const parameters = payload(data);
  for (let at = 0; at + 4 <= parameters.length; ) {
    const end = at + 4 + parameters.readUInt8(at + 3);
    if (end > parameters.length) break;
    found.set(parameters.readUInt16BE(at), parameters.subarray(at + 4, end));
    at = end;
  }
  return found;
}

/** DS and SPF stand in the page code's byte (SPC-5, Log page structure). */
const isPage = (data: Buffer, page: number): boolean => data.length >= 4 && (data.readUInt8(0) & 0x3f) === page;

const payload = (data: Buffer): Buffer => data.subarray(4, 4 + data.readUInt16BE(2));

/** The numbers of the TapeAlert flags that are set, 1 to 64: one parameter a flag, bit 0 of its byte (SSC-5, TapeAlert log page). */
export function alertsOf(parameters: ReadonlyMap<number, Buffer>): number[] {
  return [...parameters].flatMap(([flag, value]) => (flag >= 1 && flag <= 64 && value.length > 0 && (value.readUInt8(0) & 1) === 1 ? [flag] : []));
}

/** SPC-5, Error counter log pages. */
export const errorCounters = { corrected: 0x0003, bytes: 0x0005, uncorrected: 0x0006 } as const;

/** SSC-5, Device Statistics log page: of the drive, since it was made. */
export const deviceCounters = { loads: 0x0000, cleanings: 0x0001, powerOnHours: 0x0002, motionHours: 0x0003, meters: 0x0004, motionHoursSinceCleaning: 0x0008, hardWriteErrors: 0x000e, hardReadErrors: 0x000f } as const;

/** SSC-5, Volume Statistics log page: of the cartridge, since it was made. */
export const volumeCounters = {
  mounts: 0x0001,
  recoveredWriteErrors: 0x0003,
  unrecoveredWriteErrors: 0x0004,
  recoveredReadErrors: 0x0008,
  unrecoveredReadErrors: 0x0009,
  megabytesWritten: 0x0010,
  megabytesRead: 0x0011,
  beginningPasses: 0x0101,
  middlePasses: 0x0102,
} as const;

/** Of LTO drives older than page 0x17 (vendor's page, the same in all). */
export const usageCounters = { mounts: 0x0001, writeRetries: 0x0003, unrecoveredWriteErrors: 0x0004, readRetries: 0x0008, unrecoveredReadErrors: 0x0009 } as const;

/** The same, in MiB. */
export const capacityCounters = { remainingMiB: 0x0001, capacityMiB: 0x0003 } as const;

export type Counters<Codes> = Partial<Record<keyof Codes, number>>;

/** Unsigned numbers of 1 to 8 bytes; those that the page lacks, and those that the drive marks as unknown (all ones), are left out. */
export function counters<Codes extends Readonly<Record<string, number>>>(parameters: ReadonlyMap<number, Buffer>, codes: Codes): Counters<Codes> {
  const found: Record<string, number> = {};
  for (const [name, code] of Object.entries(codes)) {
    const value = parameters.get(code);
    if (value === undefined || value.length < 1 || value.length > 8 || value.every((byte) => byte === 0xff)) continue;
    const number = Number(BigInt(`0x${value.toString('hex')}`));
    if (Number.isSafeInteger(number)) found[name] = number;
  }
  return found as Counters<Codes>;
}
