/** The few file operations that a .tap needs, asynchronous and positional; tests put failing ones in their place. */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { errorCode } from '../errors.ts';
import { native } from '../native/index.ts';
import { BufferedTapFile } from './buffered-tap-file.ts';
import { directUnit, DirectTapFile } from './direct-tap-file.ts';

export interface TapFile {
  size(): Promise<number>;
  /** Fills the buffers from `offset` on; resolves with the bytes read, fewer than asked only at the end of the file. */
  read(buffers: readonly Buffer[], offset: number): Promise<number>;
  /** Writes all of the buffers or fails; a failure may leave a part of them. */
  write(buffers: readonly Buffer[], offset: number): Promise<void>;
  truncate(size: number): Promise<void>;
  /** fdatasync(2). After a failure nothing is known about what was written since the last success. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Past the page cache where the file system lets it. Errors: those of open(2). */
export async function openTapFile(path: string, access: 'read' | 'write'): Promise<TapFile> {
  const flags = access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
  const handle = await open(path, flags);
  try {
    const direct = await openDirect(path, flags);
    const buffered = new BufferedTapFile(handle);
    return direct === null ? buffered : new DirectTapFile(buffered, direct);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Null where there is no O_DIRECT, or only one that asks for more than we give. */
async function openDirect(path: string, flags: number): Promise<FileHandle | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, flags | constants.O_DIRECT);
  } catch (error) {
    if (errorCode(error) === 'EINVAL') return null;
    throw error;
  }
  const wanted = native.directAlignment(handle.fd);
  if (wanted !== null && directUnit % wanted.memory === 0 && directUnit % wanted.offset === 0) return handle;
  await handle.close();
  return null;
}
