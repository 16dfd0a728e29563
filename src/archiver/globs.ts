/** Globs of --include and --exclude. */
import { usageError } from '../errors.ts';

/** A matcher of one glob. A glob without a slash is matched against base names, any other against the path below the named PATH. */
export interface Glob {
  readonly wholePath: boolean;
  matches(text: string): boolean;
}

/** `*` any characters but /, `**` any with /, `?` one, `[a-z]` and `[!a-z]` a set, `{a,b}` either, `\x` x itself. */
export function compileGlob(glob: string): Glob {
  const wholePath = glob.includes('/');
  const source = new Translator(glob.replace(/^\//, '')).all();
  let regex: RegExp;
  try {
    regex = new RegExp(`^${source}$`, 'su');
  } catch {
    throw usageError(`'${glob}' is not a glob`);
  }
  return { wholePath, matches: (text) => regex.test(text) };
}

class Translator {
  readonly #glob: string;
  #at = 0;

  constructor(glob: string) {
    this.#glob = glob;
  }

  all(): string {
    let out = '';
    while (this.#at < this.#glob.length) out += this.#next('');
    return out;
  }

  #next(stop: string): string {
    const glob = this.#glob;
    const char = glob[this.#at++] ?? '';
    switch (char) {
      case '*':
        return this.#star();
      case '?':
        return '[^/]';
      case '[':
        return this.#set();
      case '{':
        return stop.includes('}') || !this.#hasClosingBrace() ? '\\{' : this.#either();
      case '\\':
        return literal(glob[this.#at++] ?? '\\');
      default:
        return literal(char + this.#lowSurrogate(char));
    }
  }

  #star(): string {
    if (this.#glob[this.#at] !== '*') return '[^/]*';
    this.#at += 1;
    if (this.#glob[this.#at] !== '/') return '.*';
    // `**/x` is x in any directory, the first one too.
    this.#at += 1;
    return '(?:.*/)?';
  }

  #set(): string {
    const end = this.#glob.indexOf(']', this.#at + 1);
    if (end === -1) return '\\[';
    const body = this.#glob.slice(this.#at, end);
    this.#at = end + 1;
    const negated = body.startsWith('!') || body.startsWith('^');
    const members = (negated ? body.slice(1) : body).replace(/[\\\][&~|^]/g, '\\$&');
    return `(?!/)[${negated ? '^' : ''}${members}]`;
  }

  #hasClosingBrace(): boolean {
    return this.#glob.indexOf('}', this.#at) !== -1;
  }

  #either(): string {
    const choices = [''];
    for (;;) {
      const char = this.#glob[this.#at];
      if (char === undefined || char === '}') break;
      if (char === ',') {
        this.#at += 1;
        choices.push('');
      } else {
        choices[choices.length - 1] += this.#next('}');
      }
    }
    this.#at += 1;
    return `(?:${choices.join('|')})`;
  }

  #lowSurrogate(char: string): string {
    return char >= '\ud800' && char <= '\udbff' ? (this.#glob[this.#at++] ?? '') : '';
  }
}

const literal = (char: string): string => char.replace(/[\^$\\.*+?()[\]{}|/]/g, '\\$&');
