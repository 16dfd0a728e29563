/** Option values: ages, sizes, lists. What they cannot read is a usage error that shows what they can. */
import { InvalidArgumentError } from 'commander';
import { parseAge, parseSize } from '../units.ts';

/** Seconds. */
export function age(text: string): number {
  const seconds = parseAge(text);
  if (seconds === null) throw new InvalidArgumentError('An age is a number with s, m, h, d, w, mo or y, such as 4y or 90d.');
  return seconds;
}

/** Bytes. */
export function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === null) throw new InvalidArgumentError('A size is a number with K, M, G, T (powers of two) or KB, MB, GB, TB (powers of ten), such as 100M.');
  return bytes;
}

/** A whole number of at least 1. */
export function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number of 1 or more.');
  return value;
}

/** A part of one: `0.3`, `30%`. */
export function fraction(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const value = number === undefined ? Number.NaN : Number(number) / (percent === '%' ? 100 : 1);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('It must be more than 0 and at most 1, such as 0.3 or 30%.');
  return value;
}

/** Gathers a repeated option. */
export const repeated = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** Gathers a repeated or comma-separated option of names. */
export function names(text: string, before: readonly string[] = []): readonly string[] {
  const added = text.split(',').map((each) => each.trim());
  if (added.includes('')) throw new InvalidArgumentError('A name is empty.');
  return [...new Set([...before, ...added])];
}
