/** Counts recalls against the rules. Pure: its clock is its caller's. */
import { groupOf, isAlways, matches, type Asker, type LimitRule } from './rules.ts';

export type LimitVerdict =
  | { readonly kind: 'go' }
  /** `key`: whose end makes room. */
  | { readonly kind: 'wait'; readonly key: string; readonly reason: string }
  | { readonly kind: 'refuse'; readonly errno: 'EPERM' | 'EAGAIN'; readonly rule: string; readonly reason: string };

/** Recalls of those that count together. */
class Account {
  active = 0;
  /** Files and bytes by the minute in which they began. */
  readonly #minutes = new Map<number, { files: number; bytes: number }>();

  add(bytes: number, now: number): void {
    this.active += 1;
    const minute = Math.floor(now / 60_000);
    const spent = this.#minutes.get(minute);
    if (spent === undefined) this.#minutes.set(minute, { files: 1, bytes });
    else {
      spent.files += 1;
      spent.bytes += bytes;
    }
  }

  lastHour(now: number): { files: number; bytes: number } {
    const sum = { files: 0, bytes: 0 };
    for (const [minute, { files, bytes }] of this.#minutes) {
      if (minute <= now / 60_000 - 60) this.#minutes.delete(minute);
      else {
        sum.files += files;
        sum.bytes += bytes;
      }
    }
    return sum;
  }
}

export class Limits {
  readonly #rules: readonly LimitRule[];
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();
  /** The hour in which accounts without use were last dropped. */
  #swept = 0;

  constructor(rules: readonly LimitRule[], now: () => number) {
    this.#rules = rules;
    this.#now = now;
  }

  /** What no wait would change: null, or why. To be asked before anything is done for the asker. */
  refusal(asker: Asker): Extract<LimitVerdict, { kind: 'refuse' }> | null {
    const rule = this.#rules.find((each) => each.action !== 'delay' && isAlways(each) && matches(each, asker));
    return rule === undefined ? null : refuse(rule, `rule ${rule.name} refuses recalls of ${nameOf(asker)}`);
  }

  /** `go` counts: the keys that it counts under are for ended(). */
  begin(asker: Asker, bytes: number): { readonly verdict: LimitVerdict; readonly keys: readonly string[] } {
    const now = this.#now();
    const rules = this.#rules.filter((rule) => !isAlways(rule) && matches(rule, asker));
    for (const rule of rules) {
      const key = groupOf(rule, asker);
      const excess = this.#excess(rule, key, bytes, now);
      if (excess === null) continue;
      const reason = `rule ${rule.name}: ${excess}`;
      return { verdict: rule.action === 'delay' ? { kind: 'wait', key, reason } : refuse(rule, reason), keys: [] };
    }
    this.#sweep(now);
    const keys = rules.map((rule) => groupOf(rule, asker));
    for (const key of keys) this.#account(key).add(bytes, now);
    return { verdict: { kind: 'go' }, keys };
  }

  ended(keys: readonly string[]): void {
    for (const key of keys) {
      const account = this.#accounts.get(key);
      if (account === undefined) continue;
      account.active -= 1;
      if (account.active === 0 && account.lastHour(this.#now()).files === 0) this.#accounts.delete(key);
    }
  }

  #excess({ concurrent, filesPerHour, bytesPerHour }: LimitRule, key: string, bytes: number, now: number): string | null {
    const account = this.#accounts.get(key);
    if (account === undefined) return null;
    if (concurrent !== null && account.active >= concurrent) return `${concurrent} recalls at a time`;
    const spent = account.lastHour(now);
    if (filesPerHour !== null && spent.files >= filesPerHour) return `${filesPerHour} files an hour`;
    // One file larger than the limit would else never come.
    if (bytesPerHour !== null && spent.bytes > 0 && spent.bytes + bytes > bytesPerHour) return `${bytesPerHour} bytes an hour`;
    return null;
  }

  /** Programs come and go under ever new names. */
  #sweep(now: number): void {
    const hour = Math.floor(now / 3_600_000);
    if (hour === this.#swept) return;
    this.#swept = hour;
    for (const [key, account] of this.#accounts) if (account.active === 0 && account.lastHour(now).files === 0) this.#accounts.delete(key);
  }

  #account(key: string): Account {
    const account = this.#accounts.get(key) ?? new Account();
    this.#accounts.set(key, account);
    return account;
  }
}

const refuse = (rule: LimitRule, reason: string) => ({ kind: 'refuse', errno: rule.action === 'deny' ? 'EPERM' : 'EAGAIN', rule: rule.name, reason }) as const;

const nameOf = ({ exe, comm }: Asker): string => (exe === '' ? comm : exe);
