/** The medium contract: what archiver and recall may ask of one loaded volume, whatever it is made of. */

/**
 * A position is a count of logical objects (blocks and filemarks alike) from the beginning of the volume, as
 * READ POSITION reports it: the first block is 0.
 */
export type BlockAddress = number;

export interface WriteResult {
  /** True from the first write at or past early warning on; the block is on the volume all the same. */
  readonly earlyWarning: boolean;
}

/**
 * One loaded volume in one drive, used by one caller at a time. Every method may fail with an HsmError:
 * `EIO` (retry 'other-copy'), `ENOSPC` (nothing of this block was written), `EROFS` (write protected), `NOT_LOADED`,
 * `EBUSY` (another operation is under way), `EINVAL` (no such address or block size), `ECANCELED` (the library is closing),
 * `LIBRARY_FULL` (a virtual volume's disk is full, retry 'later': the volume is not, and another one would fare no better).
 * After any failure the position is unknown: ask position().
 */
export interface Medium {
  readonly barcode: string;
  readonly writeProtected: boolean;
  /**
   * Present where a synchronous filemark alone is no proof: what it confirmed counts once it has been read back from the volume and
   * every hash compared.
   */
  readonly readBack?: true;
  position(): Promise<BlockAddress>;
  rewind(): Promise<void>;
  /** Positions before object `address`. Fails with `EINVAL` past the end of data. */
  locate(address: BlockAddress): Promise<void>;
  /**
   * Positions after the next filemark and resolves with that address; null, and the position is the end of data, where there is none.
   * Left out by media that cannot do it faster than by reading (tape-files.ts).
   */
  spaceFilemark?(): Promise<BlockAddress | null>;
  /** Positions after the last object; resolves with that address. */
  locateEnd(): Promise<BlockAddress>;
  /**
   * The next block, read into `into` (a view of it is returned), `'filemark'` (position is after it), or `'end'` at the
   * end of data. A block larger than `into` is `ENOMEM`, and the position is after that block.
   */
  readBlock(into: Buffer): Promise<Buffer | 'filemark' | 'end'>;
  /**
   * Appends one block of 1..16 MiB-1 bytes. Only at the end of data, or where everything behind may be lost: writing anywhere
   * else truncates what follows, so callers verify label and position first. The buffer may be reused after the promise resolves.
   * Nothing is durable before writeFilemark({sync: true}). A medium that is moved away from a block it wrote last may put a filemark there
   * of its own accord (the st driver does).
   */
  writeBlock(data: Buffer): Promise<WriteResult>;
  /** sync: true is the durability barrier: when it resolves, all that was written before survives a power cut. */
  writeFilemark(options: { readonly sync: boolean }): Promise<WriteResult>;
  /** Bytes the volume holds in all, and those used up to the end of data, markers included. */
  capacity(): Promise<{ readonly capacity: number; readonly used: number }>;
  /** For recall order: physical hint of an address, when the medium knows; else null. */
  physicalPosition(address: BlockAddress): { readonly wrap: number; readonly lpos: number } | null;
  /**
   * Indexes of `stretches` of blocks in the order in which the drive reads them the fastest from where it is (RECEIVE RECOMMENDED ACCESS
   * ORDER). Left out where the drive does not offer that.
   */
  recommendedOrder?(stretches: readonly { readonly first: BlockAddress; readonly last: BlockAddress }[]): Promise<readonly number[]>;
}
