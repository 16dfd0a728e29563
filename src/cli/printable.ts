/** File names and messages that cannot command a terminal, whatever bytes they are made of. */
import { isUtf8 } from 'node:buffer';

/** Controls, line separators, and marks that reorder text. */
const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;
const unsafeAll = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\x1b': '\\e' };

/** The name itself when it is harmless, else the shell word `$'...'` that stands for the same bytes. */
export function printable(name: Buffer | string): string {
  const bytes = typeof name === 'string' ? Buffer.from(name) : name;
  const text = bytes.toString();
  if (isUtf8(bytes) && !unsafe.test(text)) return text;
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const character = characterAt(bytes, at);
    if (character === null) out += hex(bytes.subarray(at, at + 1));
    else if (character === '\\' || character === "'") out += `\\${character}`;
    else out += unsafe.test(character) ? (short[character] ?? hex(Buffer.from(character))) : character;
    at += character === null ? 1 : Buffer.byteLength(character);
  }
  return `$'${out}'`;
}

/** A message as one harmless line. */
export const oneLine = (message: string): string =>
  message.replace(unsafeAll, (character) => short[character] ?? hex(Buffer.from(character)));

const hex = (bytes: Buffer): string => [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');

function characterAt(bytes: Buffer, at: number): string | null {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const sequence = bytes.subarray(at, at + length);
  return sequence.length === length && isUtf8(sequence) ? sequence.toString() : null;
}
