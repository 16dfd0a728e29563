/** Counts recalls against the rules. Pure: its clock is its caller's. */
import { fitsProgram, fitsUser, groupOf, isAlways, type Asker, type LimitRule } from './rules.ts';

export type LimitVerdict =
  | { readonly kind: 'go' }
  /** `key`: whose end makes room. */
  | { readonly kind: 'wait'; readonly key: string; readonly reason: string }
  | { readonly kind: 'refuse'; readonly errno: 'EPERM' | 'EAGAIN'; readonly rule: string; readonly reason: string };

const mostPrograms = 1000;

/** What a recall was counted as. */
export interface Count {
  readonly keys: readonly string[];
  readonly bytes: number;
  readonly minute: number;
  readonly isAhead: boolean;
}

/** Recalls of those that count together. */
class Account {
  active = 0;
  /** Recalled ahead: they take no reader's place. */
  ahead = 0;
  /** Files and bytes by the minute in which they began. */
  readonly #minutes = new Map<number, { files: number; bytes: number }>();

  add({ bytes, minute, isAhead }: Count): void {
    this.#spend(minute, 1, bytes);
    if (isAhead) this.ahead += 1;
    else this.active += 1;
  }

  end({ bytes, minute, isAhead }: Count, wasWanted: boolean): void {
    if (isAhead) this.ahead -= 1;
    else this.active -= 1;
    if (!wasWanted) this.#spend(minute, -1, -bytes);
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

  isIdle(now: number): boolean {
    return this.active === 0 && this.ahead === 0 && this.lastHour(now).files === 0;
  }

  #spend(minute: number, files: number, bytes: number): void {
    const spent = this.#minutes.get(minute);
    if (spent !== undefined) {
      spent.files += files;
      spent.bytes += bytes;
    } else if (files > 0) this.#minutes.set(minute, { files, bytes });
  }
}

export class Limits {
  readonly #rules: readonly LimitRule[];
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();
  /** What each asker counts under; who asks for very many files is looked at once for each. */
  readonly #keys = new WeakMap<Asker, readonly { readonly rule: LimitRule; readonly key: string }[]>();
  readonly #byProgram = new Map<string, readonly LimitRule[]>();
  /** The hour in which accounts without use were last dropped. */
  #swept = 0;

  constructor(rules: readonly LimitRule[], now: () => number) {
    this.#rules = rules;
    this.#now = now;
  }

  /** What no wait would change: null, or why. To be asked before anything is done for the asker. */
  refusal(asker: Asker): Extract<LimitVerdict, { kind: 'refuse' }> | null {
    const rule = this.#rulesOf(asker).find((each) => each.action !== 'delay' && isAlways(each) && fitsUser(each, asker));
    return rule === undefined ? null : refuse(rule, `rule ${rule.name} refuses recalls of ${nameOf(asker)}`);
  }

  /** `go` counts, until ended(). `isAhead`: nobody asked for it yet, and it is to take no place of those who ask. */
  begin(asker: Asker, bytes: number, isAhead = false): { readonly verdict: LimitVerdict; readonly count: Count | null } {
    const now = this.#now();
    const grouped = this.#grouped(asker);
    for (const { rule, key } of grouped) {
      const excess = this.#excess(rule, key, bytes, now, isAhead);
      if (excess === null) continue;
      const reason = `rule ${rule.name}: ${excess}`;
      return { verdict: rule.action === 'delay' ? { kind: 'wait', key, reason } : refuse(rule, reason), count: null };
    }
    this.#sweep(now);
    const count: Count = { keys: grouped.map(({ key }) => key), bytes, minute: Math.floor(now / 60_000), isAhead };
    for (const key of count.keys) this.#account(key).add(count);
    return { verdict: { kind: 'go' }, count };
  }

  /** `wasWanted`: false for what nobody had anything of, which counts for no hour. */
  ended(count: Count, wasWanted = true): void {
    for (const key of count.keys) {
      const account = this.#accounts.get(key);
      if (account === undefined) continue;
      account.end(count, wasWanted);
      if (account.isIdle(this.#now())) this.#accounts.delete(key);
    }
  }

  /** The same text for those who count together under every rule. */
  accountsOf(asker: Asker): string {
    return this.#grouped(asker).map(({ key }) => key).join('\0');
  }

  #grouped(asker: Asker): readonly { readonly rule: LimitRule; readonly key: string }[] {
    const known = this.#keys.get(asker);
    if (known !== undefined) return known;
    const grouped = this.#rulesOf(asker).filter((rule) => !isAlways(rule) && fitsUser(rule, asker)).map((rule) => ({ rule, key: groupOf(rule, asker) }));
    this.#keys.set(asker, grouped);
    return grouped;
  }

  /** Those that fit its program: many globs, and few programs that ask. */
  #rulesOf({ exe, comm }: Asker): readonly LimitRule[] {
    const program = `${exe}\0${comm}`;
    const known = this.#byProgram.get(program);
    if (known !== undefined) return known;
    const rules = this.#rules.filter((rule) => fitsProgram(rule, { exe, comm }));
    if (this.#byProgram.size >= mostPrograms) this.#byProgram.clear();
    this.#byProgram.set(program, rules);
    return rules;
  }

  #excess({ concurrent, filesPerHour, bytesPerHour }: LimitRule, key: string, bytes: number, now: number, isAhead: boolean): string | null {
    const account = this.#accounts.get(key);
    if (account === undefined) return null;
    if (concurrent !== null && account.active + (isAhead ? account.ahead : 0) >= concurrent) return `${concurrent} recalls at a time`;
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
    for (const [key, account] of this.#accounts) if (account.isIdle(now)) this.#accounts.delete(key);
  }

  #account(key: string): Account {
    const account = this.#accounts.get(key) ?? new Account();
    this.#accounts.set(key, account);
    return account;
  }
}

const refuse = (rule: LimitRule, reason: string) => ({ kind: 'refuse', errno: rule.action === 'deny' ? 'EPERM' : 'EAGAIN', rule: rule.name, reason }) as const;

const nameOf = ({ exe, comm }: Asker): string => (exe === '' ? comm : exe);
