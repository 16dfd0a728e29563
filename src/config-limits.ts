/** The rules `[[recall.limit]]` of the configuration. */
import type { LimitRule } from './recall/limits/rules.ts';

/** What is needed of the reader of a table. */
interface RuleReader {
  text(key: string, fallback: string): string;
  strings(key: string, fallback: readonly string[]): readonly string[];
  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T;
  optionalNumber(key: string): number | null;
  optionalSize(key: string): number | null;
  refuseUnknown(): void;
  fail(key: string, expected: string): Error;
}

export function limitRule(reader: RuleReader, index: number): LimitRule {
  const rule: LimitRule = {
    name: reader.text('name', `limit${index}`),
    programs: reader.strings('programs', []),
    uids: reader.strings('uids', []).map((text) => range(text, reader)),
    gids: reader.strings('gids', []).map((text) => range(text, reader).first),
    cgroups: reader.strings('cgroups', []),
    action: reader.choice('action', ['deny', 'fail', 'delay'], 'delay'),
    per: reader.choice('per', ['user', 'program', 'cgroup', 'all'], 'user'),
    concurrent: reader.optionalNumber('concurrent'),
    filesPerHour: reader.optionalNumber('files_per_hour'),
    bytesPerHour: reader.optionalSize('bytes_per_hour'),
  };
  reader.refuseUnknown();
  const limits = [rule.concurrent, rule.filesPerHour, rule.bytesPerHour];
  if (rule.action === 'delay' && (limits.every((limit) => limit === null) || limits.includes(0))) {
    throw reader.fail('action', '"deny" or "fail", or come with a limit above 0: concurrent, files_per_hour or bytes_per_hour');
  }
  return rule;
}

function range(text: string, reader: RuleReader): { first: number; last: number } {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  if (first === undefined) throw reader.fail('uids and gids', 'numbers, or ranges such as "1000-1999", in quotes');
  return { first: Number(first), last: Number(last ?? first) };
}
