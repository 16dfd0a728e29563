/** What the st driver offers of one drive: operations that fail with errno errors as Node has them, one at a time. */

import type { TapeOperation, TapeStatus } from '../../native/index.ts';

export interface TapeDevice {
  operation(operation: TapeOperation, count: number): Promise<void>;
  status(): Promise<TapeStatus>;
  /** READ POSITION: logical objects from the beginning. Fails with EIO on drives that do not have it. */
  position(): Promise<number>;
  /** One block: its length; 0 at a filemark and at the end of data. ENOMEM: it was longer than `into`, and is passed. */
  read(into: Buffer): Promise<number>;
  /** One block. ENOSPC: at early warning, with nothing written, and every second time from there on. */
  write(data: Buffer): Promise<number>;
  /** One SCSI command that only asks (decision 0009), and its answer of at most `reply` bytes; left out where there is no SCSI. Fails with errno errors where the drive is not reached. */
  command?(cdb: Buffer, reply: number, timeoutMs: number): Promise<{ readonly status: number; readonly sense: Buffer; readonly data: Buffer }>;
  close(): void;
}
