/** Makes stubs on a guarded filesystem. A stub has no name, and nobody can open it, before it has its record, its size and everything else. */
import { closeSync, constants, fchmodSync, fchownSync, ftruncateSync, mkdirSync } from 'node:fs';
import type { Catalog, NewStub } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import type { MemberMetadata } from '../media/member-metadata.ts';
import { native, type FileStat } from '../native/index.ts';
import { readInode } from '../recall/classify.ts';
import { decodeStubRecord, encodeStubRecord, stubXattr } from '../stub.ts';

export interface PlannedStub {
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
  readonly metadata: MemberMetadata;
  readonly object: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly volume: string;
  readonly container: number;
  /** Of the member. */
  readonly offset: number;
}

/** A further name of a file. */
export interface PlannedLink {
  readonly path: Buffer;
  /** Name of the file, as its member has it. */
  readonly target: Buffer;
  /** What the file must hold: somebody else's file may have its name. */
  readonly object: Buffer;
}

export interface MadeTarget {
  /** Row id. */
  readonly id: number;
  readonly mountFd: number;
  readonly locks: { tryLock(ino: number): (() => void) | null };
}

/** `exists`: something else has the name; it stays as it is. `incomplete`: the stub is there, an attribute of it is not. */
export type MadeOutcome = 'restored' | 'exists' | 'incomplete' | 'failed';

export interface MakerObserver {
  stub(stub: PlannedStub, outcome: MadeOutcome, reason: string | null): void;
  link(link: PlannedLink, outcome: Exclude<MadeOutcome, 'incomplete'>, reason: string | null): void;
}

interface Made {
  readonly stub: PlannedStub;
  readonly fd: number;
  readonly dirFd: number;
  readonly name: Buffer;
  readonly ino: number;
  readonly handleHash: number;
  readonly unlock: () => void;
  /** Attributes that the filesystem refused. */
  readonly refused: string | null;
}

type Owner = { readonly uid: number; readonly gid: number };

const slash = 0x2f;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOATIME } = constants;

export class TreeMaker {
  /** Directories that were made here. */
  directories = 0;
  readonly #target: MadeTarget;
  readonly #catalog: Pick<Catalog, 'adoptStubs' | 'filesByInode'>;
  readonly #observer: MakerObserver;
  /** Owners of the directories that were made here: the one of all files below, or root where they differ. */
  readonly #owners = new Map<string, Owner | null>();

  constructor(target: MadeTarget, catalog: Pick<Catalog, 'adoptStubs' | 'filesByInode'>, observer: MakerObserver) {
    this.#target = target;
    this.#catalog = catalog;
    this.#observer = observer;
  }

  /** Durable, and in the catalogue, when it resolves. Fails where the catalogue or the whole filesystem does. */
  async make(stubs: readonly PlannedStub[]): Promise<void> {
    const open = new Map<string, number>();
    const made: Made[] = [];
    try {
      for (const stub of stubs) {
        try {
          made.push(this.#prepare(stub, open));
        } catch (error) {
          this.#observer.stub(stub, 'failed', reasonOf(error));
        }
      }
      // No name before its record is durable.
      await native.syncfs(this.#target.mountFd);
      const named = made.map((each) => this.#name(each)).filter((each) => each !== null);
      await native.syncfs(this.#target.mountFd);
      await this.#catalog.adoptStubs(this.#target.id, named);
    } finally {
      for (const { fd, unlock } of made) {
        closeSync(fd);
        unlock();
      }
      for (const fd of open.values()) closeSync(fd);
    }
  }

  /** Further names of files that have been made. */
  async link(links: readonly PlannedLink[]): Promise<void> {
    const open = new Map<string, number>();
    try {
      for (const link of links) await this.#link(link, open);
      await native.syncfs(this.#target.mountFd);
    } finally {
      for (const fd of open.values()) closeSync(fd);
    }
  }

  #prepare(stub: PlannedStub, open: Map<string, number>): Made {
    const { path, metadata, size } = stub;
    const [directory, name] = split(path);
    const dirFd = this.#directory(directory, open);
    const fd = native.openUnnamed(dirFd);
    try {
      const { ino } = native.statx(fd, '');
      const handleHash = native.handleHash(native.fileHandle(fd, ''));
      const { volume, container, offset, object, mtimeNs } = stub;
      const { uid, gid, mode, atimeNs } = metadata;
      fchownSync(fd, uid, gid);
      // Before the size: at no time is there a hole that the record does not explain.
      native.setxattr(fd, stubXattr, encodeStubRecord({ flags: 0, volume, container, offset, object, size, mtimeNs, handleHash }));
      ftruncateSync(fd, size);
      fchmodSync(fd, mode);
      const refused = setAttributes(fd, metadata);
      native.setTimes(fd, atimeNs, metadata.mtimeNs);
      this.#own(directory, { uid, gid });
      // Last, for whatever fails before has no lock to give back.
      const unlock = this.#target.locks.tryLock(ino);
      if (unlock === null) throw new Error('its inode is in use');
      return { stub, fd, dirFd, name, ino, handleHash, unlock, refused };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Null where it got no name. One that a run before made, and did not live to tell about, is taken for it. */
  #name({ stub, fd, dirFd, name, ino, handleHash, refused }: Made): NewStub | null {
    const { object, path } = stub;
    try {
      native.linkAs(fd, dirFd, name);
      this.#observer.stub(stub, refused === null ? 'restored' : 'incomplete', refused);
      return { object, ino, handleHash, ctimeNs: native.statx(fd, '').ctimeNs, path };
    } catch (error) {
      const there = errorCode(error) === 'EEXIST' ? this.#stubThere(stub) : null;
      if (there !== null) {
        this.#observer.stub(stub, 'restored', null);
        return { object, ino: there.stat.ino, handleHash: there.handleHash, ctimeNs: there.stat.ctimeNs, path };
      }
      this.#observer.stub(stub, errorCode(error) === 'EEXIST' ? 'exists' : 'failed', reasonOf(error));
      return null;
    }
  }

  #stubThere({ path, object, size }: PlannedStub): { readonly stat: FileStat; readonly handleHash: number } | null {
    let fd: number;
    try {
      fd = native.openBeneath(this.#target.mountFd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
    } catch {
      return null;
    }
    try {
      const { stat, handleHash, bytes } = readInode(fd);
      const record = bytes === null ? null : decodeStubRecord(bytes);
      return record !== null && record.handleHash === handleHash && record.object.equals(object) && stat.size === size ? { stat, handleHash } : null;
    } finally {
      closeSync(fd);
    }
  }

  async #link(link: PlannedLink, open: Map<string, number>): Promise<void> {
    let fd: number | null = null;
    try {
      fd = native.openBeneath(this.#target.mountFd, link.target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
      if (!(await this.#holds(fd, link.object))) throw new Error('another file has the name of the one that it belongs to');
      const [directory, name] = split(link.path);
      native.linkAs(fd, this.#directory(directory, open), name);
      const { uid, gid } = native.statx(fd, '');
      this.#own(directory, { uid, gid });
      this.#observer.link(link, 'restored', null);
    } catch (error) {
      this.#observer.link(link, errorCode(error) === 'EEXIST' ? 'exists' : 'failed', reasonOf(error));
    } finally {
      if (fd !== null) closeSync(fd);
    }
  }

  /** Whether the catalogue knows the inode, and as a file of that object: one that was restored, now or before. */
  async #holds(fd: number, object: Buffer): Promise<boolean> {
    const [row] = await this.#catalog.filesByInode(this.#target.id, [native.statx(fd, '').ino]);
    return row !== undefined && row.object.equals(object) && row.handleHash === native.handleHash(native.fileHandle(fd, ''));
  }

  /** Its fd, in `open`. Whatever is missing of it is made, for root alone: what its mode was is on no tape. */
  #directory(path: Buffer, open: Map<string, number>): number {
    const key = path.toString('latin1');
    const known = open.get(key);
    if (known !== undefined) return known;
    let fd: number;
    try {
      fd = native.openBeneath(this.#target.mountFd, path.length === 0 ? Buffer.from('.') : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      const [parent, name] = split(path);
      mkdirSync(Buffer.concat([Buffer.from(`/proc/self/fd/${this.#directory(parent, open)}/`), name]), 0o700);
      this.#owners.set(key, null);
      this.directories += 1;
      fd = native.openBeneath(this.#target.mountFd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    }
    open.set(key, fd);
    return fd;
  }

  /** Directories that were made here belong to whom all their files belong to. */
  #own(directory: Buffer, owner: Owner): void {
    for (let path = directory; path.length > 0; path = split(path)[0]) {
      const key = path.toString('latin1');
      const before = this.#owners.get(key);
      if (before === undefined || (before !== null && (isRoot(before) || (before.uid === owner.uid && before.gid === owner.gid)))) continue;
      const after = before === null ? owner : { uid: 0, gid: 0 };
      const fd = native.openBeneath(this.#target.mountFd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      try {
        fchownSync(fd, after.uid, after.gid);
      } finally {
        closeSync(fd);
      }
      this.#owners.set(key, after);
    }
  }
}

const isRoot = ({ uid, gid }: Owner): boolean => uid === 0 && gid === 0;

/** The names of attributes that the filesystem or a security module did not take, and why; null when there is none. */
function setAttributes(fd: number, { xattrs }: MemberMetadata): string | null {
  const refused: string[] = [];
  for (const [name, value] of xattrs) {
    try {
      native.setxattr(fd, name, value);
    } catch (error) {
      refused.push(`${name} (${errorCode(error)})`);
    }
  }
  return refused.length === 0 ? null : `without its attributes ${refused.join(', ')}`;
}

function split(path: Buffer): [directory: Buffer, name: Buffer] {
  const cut = path.lastIndexOf(slash);
  return [path.subarray(0, Math.max(cut, 0)), path.subarray(cut + 1)];
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
