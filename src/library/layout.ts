/** A virtual library's folder: library.json says what was built, state.json where the cartridges are now. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { exitCodes, HsmError } from '../errors.ts';
import { writeFileAtomic } from '../media/atomic-file.ts';

export interface LibraryPaths {
  readonly config: string;
  readonly state: string;
  readonly lock: string;
  readonly cartridges: string;
  /** Cartridges that were exported. */
  readonly shelf: string;
}

export const libraryPaths = (dir: string): LibraryPaths => ({
  config: join(dir, 'library.json'),
  state: join(dir, 'state.json'),
  lock: join(dir, 'lock'),
  cartridges: join(dir, 'cartridges'),
  shelf: join(dir, 'shelf'),
});

/** Up to 8 characters, since the stub record holds no more: usually six and the generation (`V00001L9`). */
export const isBarcode = (text: string): boolean => /^[A-Z0-9]{1,8}$/.test(text);

const barcode = z.string().refine(isBarcode);

const configShape = z.object({
  version: z.literal(1),
  drives: z.int().min(1).max(64),
  generation: z.enum(['L7', 'L8', 'L9']),
  timing: z.enum(['none', 'lto8', 'lto9']),
  /** What the cartridges are: .tap files with containers as on tape, or folders of LTFS's file backend. */
  format: z.enum(['tar', 'ltfs']).default('tar'),
  /** Capacity in bytes of cartridges that are added without one. */
  capacity: z.number().positive(),
});

/** What a library was built as. */
export type LibraryConfig = Readonly<z.infer<typeof configShape>>;

const driveShape = z.object({ barcode: barcode.nullable(), admin: z.enum(['up', 'down']), reason: z.string().nullable() });

const stateShape = z.object({
  version: z.literal(1),
  /** By name. */
  drives: z.record(z.string(), driveShape),
  /** Slot 1 first. */
  slots: z.array(barcode.nullable()),
});

/** Where things are. A cartridge is in one place only. */
export type LibraryState = z.infer<typeof stateShape>;

/** Fails with `CONFIG` when `dir` holds no library that this version knows. */
export async function readLibraryConfig(dir: string): Promise<LibraryConfig> {
  const path = libraryPaths(dir).config;
  return parse(path, await read(path), configShape);
}

/** The state as it was kept, or null when there is none. */
export async function readLibraryState(dir: string): Promise<LibraryState | null> {
  const path = libraryPaths(dir).state;
  try {
    return parse(path, await readFile(path, 'utf8'), stateShape);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export const writeLibraryConfig = (dir: string, config: LibraryConfig): Promise<void> =>
  writeFileAtomic(libraryPaths(dir).config, `${JSON.stringify(config, null, 2)}\n`);

export const writeLibraryState = (dir: string, state: LibraryState): Promise<void> =>
  writeFileAtomic(libraryPaths(dir).state, `${JSON.stringify(state, null, 2)}\n`);

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const message = `${path} cannot be read: ${(cause as Error).message}; is the library's path right, and its disk mounted?`;
    throw new HsmError('CONFIG', message, { exit: exitCodes.usage, path, cause });
  }
}

function parse<T>(path: string, text: string, shape: z.ZodType<T>): T {
  try {
    return shape.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause).split('\n')[0] : (cause as Error).message;
    throw new HsmError('CONFIG', `${path} is damaged: ${why}`, { exit: exitCodes.usage, path, cause });
  }
}
