/** Group commit of restored files: whatever finished while one commit ran goes into the next, durable by one sync. */
import { constants } from 'node:os';
import { native, type CommitItem } from '../native/index.ts';

export interface Restored {
  readonly item: CommitItem;
  /** null: the file is ordinary again. Else the errno name; its record is still in place. */
  committed(error: string | null, ctimeNs: bigint): void;
}

const mostAtOnce = 1024;

export class Committer {
  readonly #groupFd: number;
  readonly #waiting: Restored[] = [];
  #running: Promise<void> | null = null;

  constructor(groupFd: number) {
    this.#groupFd = groupFd;
  }

  add(restored: Restored): void {
    this.#waiting.push(restored);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    // What ends in the same turn of the event loop belongs together.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostAtOnce);
      try {
        const { status, ctimeNs } = await native.commitRestore(
          this.#groupFd,
          batch.map(({ item }) => item),
        );
        batch.forEach((each, index) => {
          const code = status[index] ?? -constants.errno.EIO;
          each.committed(code === 0 ? null : errnoName(code), ctimeNs[index] ?? 0n);
        });
      } catch (error) {
        for (const each of batch) each.committed((error as NodeJS.ErrnoException).code ?? 'EIO', 0n);
      }
    }
    this.#running = null;
  }
}

const errnoNames = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** Name of a negative errno, as natives return it. */
export const errnoName = (status: number): string => errnoNames.get(-status) ?? 'EIO';
