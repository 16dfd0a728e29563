/** Parameters of requests: nothing that a client sent is trusted. */
import { usageError } from '../errors.ts';
import type { VerifyParams } from './archive-jobs.ts';
import type { ArchiveParams, WirePath } from './protocol.ts';

export type Params = Readonly<Record<string, unknown>>;

export function text(params: Params, key: string): string {
  const value = params[key];
  if (typeof value !== 'string') throw usageError(`${key} must be a string`);
  return value;
}

export const optionalText = (params: Params, key: string): string | null => (params[key] === undefined || params[key] === null ? null : text(params, key));

export function flag(params: Params, key: string): boolean {
  const value = params[key] ?? false;
  if (typeof value !== 'boolean') throw usageError(`${key} must be true or false`);
  return value;
}

export function integer(params: Params, key: string, fallback?: number): number {
  const value = params[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw usageError(`${key} must be a whole number of 0 or more`);
  return value;
}

export function textList(params: Params, key: string): string[] {
  const value = params[key] ?? [];
  if (!Array.isArray(value) || !value.every((each): each is string => typeof each === 'string')) throw usageError(`${key} must be a list of strings`);
  return value;
}

export function wirePaths(params: Params): WirePath[] {
  const value = params['paths'];
  if (!Array.isArray(value) || value.length === 0 || !value.every(isWirePath)) throw usageError('paths must be a list of absolute paths');
  return value;
}

function isWirePath(value: unknown): value is WirePath {
  if (typeof value === 'string') return value.startsWith('/');
  return typeof value === 'object' && value !== null && 'base64' in value && typeof value.base64 === 'string';
}

/** Everything of `archive` but its paths. */
export function parseArchive(params: Params): Omit<ArchiveParams, 'paths'> {
  const by = text(params, 'by');
  if (by !== 'used' && by !== 'mtime' && by !== 'atime') throw usageError(`--by is used, mtime or atime, not '${by}'`);
  const olderThan = params['olderThan'];
  if (typeof olderThan !== 'number' || !(olderThan >= 0)) throw usageError('olderThan must be a number of seconds');
  return {
    olderThan,
    ...(params['largerThan'] === undefined ? {} : { largerThan: integer(params, 'largerThan') }),
    by,
    include: textList(params, 'include'),
    exclude: textList(params, 'exclude'),
    pools: textList(params, 'pools'),
    keepData: flag(params, 'keepData'),
    dryRun: flag(params, 'dryRun'),
    verbose: flag(params, 'verbose'),
  };
}

/** Everything of `verify` but its paths. */
export function parseVerify(params: Params): VerifyParams {
  const given = params['paths'] !== undefined;
  const age = params['notVerifiedSince'] ?? null;
  if (age !== null && !(typeof age === 'number' && age >= 0)) throw usageError('notVerifiedSince must be a number of seconds');
  const rate = params['rate'] ?? null;
  if (rate !== null && !(typeof rate === 'number' && rate >= 1)) throw usageError('rate must be a number of bytes a second');
  const sample = sampleOf(params['sample'] ?? null);
  const repair = flag(params, 'repair');
  if (given && (age !== null || sample !== null || repair)) throw usageError('what was not verified since, samples and repairs are of volumes: name no paths');
  return { tape: optionalText(params, 'tape'), repair, rate, choice: { notSince: age === null ? null : Date.now() - age * 1000, sample } };
}

function sampleOf(value: unknown): NonNullable<VerifyParams['choice']>['sample'] {
  if (value === null) return null;
  if (typeof value === 'object' && 'part' in value && typeof value.part === 'number' && value.part > 0 && value.part <= 1) return { part: value.part };
  if (typeof value === 'object' && 'count' in value && typeof value.count === 'number' && Number.isSafeInteger(value.count) && value.count > 0) return { count: value.count };
  throw usageError('sample must be {part} of more than 0 and at most 1, or {count} of 1 or more');
}
