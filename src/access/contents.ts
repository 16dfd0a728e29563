/** What the suite's files hold: never a zero where a stub's hole would show one, except in holes of their own. */
import { readFileSync } from 'node:fs';
import { projectRoot } from '../native/index.ts';
import type { ContentName } from './case.ts';

const built = `${projectRoot}native/build/Release/`;
export const accessProgram = `${built}hsm-access`;

/** Not a whole number of blocks. */
const plainSize = 70_003;
const hole = { offset: 73_728, length: 262_144 };

const makers: Readonly<Record<Exclude<ContentName, 'none'>, () => Buffer>> = {
  plain: () => noise(plainSize),
  sparse: () => Buffer.concat([noise(hole.offset), Buffer.alloc(hole.length), noise(5000)]),
  // A loop device shows whole sectors only.
  sectors: () => noise(144 * 512),
  text: () => Buffer.from(Array.from({ length: 2000 }, (_, line) => `line ${line} of a file that went to tape\n`).join('')),
  program: () => readFileSync(accessProgram),
  library: () => readFileSync(`${built}hsm-access-library.node`),
  script: () => Buffer.from(`#!/bin/sh\necho right\nexit\n${'# never read\n'.repeat(1000)}`),
};

const made = new Map<ContentName, Buffer>();

export function contentOf(name: Exclude<ContentName, 'none'>): Buffer {
  const before = made.get(name);
  if (before !== undefined) return before;
  const content = makers[name]();
  made.set(name, content);
  return content;
}

/** Where the data of a content is; the rest is a hole. */
export const segmentsOf = (name: ContentName, size: number): readonly { readonly offset: number; readonly end: number }[] =>
  name === 'sparse'
    ? [
        { offset: 0, end: hole.offset },
        { offset: hole.offset + hole.length, end: size },
      ]
    : [{ offset: 0, end: size }];

/** The same bytes at every run, from 1 to 255. */
function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 2_463_534_242;
  for (let i = 0; i < size; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = ((state >>> 0) % 255) + 1;
  }
  return bytes;
}
