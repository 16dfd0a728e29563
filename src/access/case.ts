/** One access path of the conformance suite: a script that reads or changes a stub in one way, and what must come of it. */

export type Filesystem = 'ext4' | 'xfs' | 'btrfs';

/** Who does it. */
export interface User {
  readonly name: 'root' | 'nobody';
  readonly uid: number;
  readonly gid: number;
}

export const root: User = { name: 'root', uid: 0, gid: 0 };

export const users: readonly User[] = [
  root,
  { name: 'nobody', uid: 65_534, gid: 65_534 },
];

/** What a case's file holds before it goes to tape (contents.ts); `none`: what `make` leaves. */
export type ContentName = 'plain' | 'sparse' | 'sectors' | 'text' | 'program' | 'library' | 'script' | 'none';

export interface AccessCase {
  readonly name: string;
  readonly family: 'call' | 'view' | 'tool';
  /** Default: plain. */
  readonly content?: ContentName;
  /** The file's path below its folder. Default: file. */
  readonly file?: string;
  /** sh, in the case's folder, as the user; before all that is there goes to tape. */
  readonly make?: string;
  /**
   * sh, in the case's folder, as the user. What it prints is what was read; it exits 0 only if all went well, 77 if the machine lacks what it needs.
   * $FILE the stub; $FOLDER its folder; $OTHER a free path beside it; $OUT a folder on another filesystem; $EXPECTED the file's
   * content there; $ACCESS the program hsm-access; $OWNER the user's uid.
   * $DEVICE the filesystem's, $WITHIN the folder's path on it; $SUBVOLUME the btrfs subvolume's root, $BELOW the folder's path in it, $SNAPSHOT a free name.
   */
  readonly script: string;
  /** Run by root in a mount namespace of its own, with $AS before what the user does. */
  readonly asRoot?: boolean;
  /** What is printed. Default: the content. */
  readonly prints?: (content: Buffer) => Buffer | string;
  /** What the file holds afterwards, wherever it was moved to. Default: the content; null: not looked at. */
  readonly leaves?: ((content: Buffer) => Buffer | string) | null;
  /** false: the stub itself must stay one. Default: true. */
  readonly recalls?: boolean;
  /** An error is right, because of this. */
  readonly refused?: string;
  /** The stub is opened through a read-only mount: with the config's `event_fd = "rdwr"` an error is right. */
  readonly readOnlyView?: boolean;
  readonly users?: readonly User['name'][];
  readonly types?: readonly Filesystem[];
  /** Programs that the script runs beyond coreutils and util-linux. */
  readonly needs?: readonly string[];
}
