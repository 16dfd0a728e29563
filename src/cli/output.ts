/** Standard output of a command: text, tables and JSON lines. A reader that stops reading (`| head`) is no error. */
import { errorCode } from '../errors.ts';
import { printable } from './printable.ts';

const chunk = 64 * 1024;
/** What JSON may hold raw but a terminal would obey or show in the wrong order: DEL, C1 controls, line separators, direction marks. */
const escapedInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

export class Output {
  /** True once nobody reads any more; a listing may then stop early. */
  closed = false;
  readonly tty: boolean;
  readonly #stream: NodeJS.WriteStream;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.tty = stream.isTTY;
    stream.on('error', (error) => {
      this.closed = true;
      if (errorCode(error) !== 'EPIPE') throw error;
    });
  }

  /** A file name: escaped on a terminal, its exact bytes elsewhere. */
  name(name: Buffer | string): Buffer | string {
    return this.tty ? printable(name) : name;
  }

  line(...parts: readonly (string | Buffer)[]): void {
    for (const part of parts) this.#add(typeof part === 'string' ? Buffer.from(part) : part);
    this.#add(newline);
    if (this.tty || this.#length >= chunk) this.flush();
  }

  json(value: unknown): void {
    this.line(jsonLine(value));
  }

  /** Writes what is gathered. Call before waiting for anything slow. */
  flush(): void {
    if (this.#length > 0 && !this.closed) this.#stream.write(Buffer.concat(this.#parts, this.#length));
    this.#parts = [];
    this.#length = 0;
  }

  #add(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }
}

const newline = Buffer.from('\n');

/** One line of JSON that is safe to show on a terminal. */
export const jsonLine = (value: unknown): string =>
  JSON.stringify(value).replace(escapedInJson, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
