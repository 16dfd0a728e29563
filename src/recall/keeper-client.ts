/** The daemon's end of the keeper's socket: stub events in, answers out (native/keeper/protocol.h). */
import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import { native, type FdChannel } from '../native/index.ts';

/** Errnos that the kernel accepts as a denial (fanotify(7), FAN_DENY_ERRNO); any other would leave the reader blocked. */
export const denialErrnos = ['EPERM', 'EIO', 'EBUSY', 'EAGAIN', 'ETXTBSY', 'ENOSPC', 'EDQUOT'] as const;
export type DenialErrno = (typeof denialErrnos)[number];

export interface StubEvent {
  readonly id: number;
  /** O_RDWR fd of the stub; accesses through it raise no events. The receiver closes it. */
  readonly fd: number;
  /** Of the stub, for people. */
  readonly path: string;
  /** Index in the configuration's filesystems; -1: none of them. */
  readonly filesystem: number;
  readonly pid: number;
  readonly uid: number;
  /** Path of the program that waits; empty when it could not be read. */
  readonly exe: string;
}

/** The kernel's queue of events overflowed: it let readers through whom nobody was asked about. */
export interface Overflows {
  /** Since the keeper's group exists. */
  readonly count: number;
  /** Of them, those that no daemon was told of before. */
  readonly fresh: number;
  readonly lastAt: Date;
}

/** What has become of a managed filesystem. */
export interface FilesystemChange {
  /** Index in the configuration's filesystems. */
  readonly index: number;
  /** What is at its path: nothing, itself, or another filesystem. */
  readonly view: 'absent' | 'seen' | 'another';
  /** It was mounted before it could be guarded. */
  readonly unguarded: boolean;
  /** `major:minor` as in /proc/self/mountinfo, also of one that is seen nowhere any more. */
  readonly superblock: string;
  /** Directory fd inside its private mount, the receiver's to close; null unless the keeper has just made it. */
  readonly fd: number | null;
}

export interface KeeperEvents {
  filesystem(change: FilesystemChange): void;
  stub(event: StubEvent): void;
  /** An event came without its fd: its reader is to try again. */
  unusable(id: number): void;
  /** The waiter of this event died; the event is answered already. */
  gone(id: number): void;
  overflow(overflows: Overflows): void;
  /** The keeper's end closed: it died. */
  closed(): void;
}

/** What the recall engine needs of the keeper. */
export interface Keeper {
  /** null lets the readers go on (the keeper checks once more that the record is gone). Unknown ids are ignored. */
  answer(ids: readonly number[], error: DenialErrno | null): void;
}

const fromKeeper = { event: 1, gone: 2, overflow: 3, filesystem: 4 } as const;
const toKeeper = { answer: 16, ready: 17, stopped: 18, letGo: 19 } as const;
const views = ['absent', 'seen', 'another'] as const;
const idsPerMessage = 4096;

export class KeeperClient implements Keeper {
  readonly #channel: FdChannel;

  constructor(socketFd: number, events: KeeperEvents) {
    this.#channel = new native.FdChannel(
      socketFd,
      (messages) => {
        for (const { data, fds } of messages) dispatch(data, fds, events);
      },
      () => events.closed(),
    );
  }

  ready(): void {
    this.#channel.send(Buffer.from([toKeeper.ready]));
  }

  /** Last word before a clean exit; `stubsLeft` keeps a denier alive. */
  stopped(stubsLeft: boolean): void {
    this.#channel.send(stoppedMessage(stubsLeft));
  }

  /** The fd of this filesystem is closed here: the keeper may close its own. */
  letGo(index: number): void {
    const message = Buffer.alloc(4);
    message.writeUInt8(toKeeper.letGo, 0);
    message.writeUInt16LE(index, 2);
    this.#channel.send(message);
  }

  answer(ids: readonly number[], error: DenialErrno | null): void {
    for (let start = 0; start < ids.length; start += idsPerMessage) {
      const slice = ids.slice(start, start + idsPerMessage);
      const message = Buffer.alloc(16 + 8 * slice.length);
      message.writeUInt8(toKeeper.answer, 0);
      message.writeUInt32LE(error === null ? 0 : constants.errno[error], 4);
      message.writeUInt32LE(slice.length, 8);
      slice.forEach((id, index) => message.writeBigUInt64LE(BigInt(id), 16 + 8 * index));
      this.#channel.send(message);
    }
  }

  close(): void {
    this.#channel.close();
  }
}

/** The last word of a daemon that cannot start, and may have no client. */
export const sayStopped = (socketFd: number, stubsLeft: boolean): void => void writeSync(socketFd, stoppedMessage(stubsLeft));

const stoppedMessage = (stubsLeft: boolean): Buffer => Buffer.from([toKeeper.stopped, stubsLeft ? 1 : 0]);

const superblockName = (number: bigint): string => `${number >> 20n}:${number & 0xfffffn}`;

function dispatch(data: Buffer, fds: readonly number[], events: KeeperEvents): void {
  const type = data.readUInt8(0);
  if (type === fromKeeper.gone) {
    events.gone(Number(data.readBigUInt64LE(8)));
    return;
  }
  if (type === fromKeeper.overflow) {
    events.overflow({ count: Number(data.readBigUInt64LE(8)), fresh: data.readUInt32LE(4), lastAt: new Date(Number(data.readBigInt64LE(16))) });
    return;
  }
  if (type === fromKeeper.filesystem) {
    events.filesystem({ index: data.readUInt16LE(2), view: views[data.readUInt8(1)] ?? 'absent', unguarded: data.readUInt8(4) === 1, superblock: superblockName(data.readBigUInt64LE(8)), fd: fds[0] ?? null });
    return;
  }
  if (type !== fromKeeper.event) return;
  const fd = fds[0];
  const id = Number(data.readBigUInt64LE(16));
  if (fd === undefined) {
    // This process is out of file descriptors (recvmsg(2), MSG_CTRUNC).
    events.unusable(id);
    return;
  }
  const filesystem = data.readUInt16LE(2);
  const exeEnd = 24 + data.readUInt32LE(12);
  events.stub({
    id,
    fd,
    filesystem: filesystem === 0xffff ? -1 : filesystem,
    pid: data.readInt32LE(4),
    uid: data.readUInt32LE(8),
    exe: data.toString('utf8', 24, exeEnd),
    path: data.toString('utf8', exeEnd),
  });
}
