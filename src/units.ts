/** Ages and sizes as the command line and the configuration write them. */

const ageUnits: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, mo: 2_629_746, y: 31_556_952 };

/** `4y 18mo 90d 12h 30m 10s` (one number and unit) in seconds; null when it is not an age. */
export function parseAge(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(s|mo|m|h|d|w|y)$/.exec(text);
  if (match === null) return text === '0' ? 0 : null;
  const seconds = Number(match[1]) * (ageUnits[match[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(Math.floor(seconds)) ? seconds : null;
}

const binary: Readonly<Record<string, number>> = { '': 1, B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 };
const decimal: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15 };

/** `512K 1M 2G 1T` (powers of two; KiB, MiB too) or `1GB` (powers of ten) in bytes; null when it is not a size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGTP]iB|[KMGTP]B|[KMGTP]|B|)$/i.exec(text);
  if (match === null) return null;
  const unit = (match[2] ?? '').toUpperCase();
  const factor = unit.endsWith('IB') ? binary[unit.slice(0, 1)] : (decimal[unit] ?? binary[unit]);
  const bytes = factor === undefined ? Number.NaN : Math.floor(Number(match[1]) * factor);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Bytes for a person: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Seconds for a person: `2h 05m`, `45s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${String(whole % 60).padStart(2, '0')}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3600)}h`;
}

/** `152.3 MB/s`, powers of ten as drives are sold by. */
export const formatRate = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
