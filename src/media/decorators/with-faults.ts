import { HsmError } from '../../errors.ts';
import type { Retry } from '../../errors.ts';
import type { Medium } from '../medium.ts';
import { decorate } from './decorate.ts';

/** What can be made to fail: a medium's operations, and a library's (`move`: the robot, `load`: the drive, `unload`: the drive). */
export type FaultyOperation = 'read' | 'write' | 'filemark' | 'sync' | 'locate' | 'rewind' | 'move' | 'load' | 'unload';

/** `fail`: with `code`, before anything happened or, the nastier way, after it. The others damage what a read returns. */
export type Fault =
  | { readonly kind: 'fail'; readonly code: string; readonly when: 'before' | 'after' }
  | { readonly kind: 'short' }
  | { readonly kind: 'flip'; readonly bit: number };

/** A plan of faults: the n-th operation of a kind from now on meets one. */
export class Faults {
  readonly #planned: { readonly operation: FaultyOperation; left: number; readonly fault: Fault }[] = [];

  /** The `n`-th (from 1) operation of this kind from now on fails with an errno name. */
  failNth(operation: FaultyOperation, n: number, code = 'EIO', when: 'before' | 'after' = 'before'): this {
    return this.#plan(operation, n, { kind: 'fail', code, when });
  }

  /** The `n`-th read returns a block that lacks its last byte. */
  shortRead(n: number): this {
    return this.#plan('read', n, { kind: 'short' });
  }

  /** The `n`-th read returns a block with one bit changed (counted modulo the block's length). */
  flipBit(n: number, bit = 0): this {
    return this.#plan('read', n, { kind: 'flip', bit });
  }

  /** Counts one operation, and returns the fault that it meets. */
  next(operation: FaultyOperation): Fault | null {
    let met: Fault | null = null;
    for (const plan of this.#planned) {
      if (plan.operation !== operation) continue;
      plan.left -= 1;
      if (plan.left === 0) met ??= plan.fault;
    }
    return met;
  }

  /** Runs `action` as one operation of a kind. */
  async around<T>(operation: FaultyOperation, action: () => Promise<T>): Promise<T> {
    const fault = this.next(operation);
    if (fault?.kind === 'fail' && fault.when === 'before') throw injected(operation, fault.code);
    const result = await action();
    if (fault?.kind === 'fail') throw injected(operation, fault.code);
    return result;
  }

  #plan(operation: FaultyOperation, n: number, fault: Fault): this {
    this.#planned.push({ operation, left: n, fault });
    return this;
  }
}

/** A medium that fails by plan. */
export function withFaults(medium: Medium, faults: Faults): Medium {
  return decorate(medium, {
    rewind: () => faults.around('rewind', () => medium.rewind()),
    locate: (address) => faults.around('locate', () => medium.locate(address)),
    locateEnd: () => faults.around('locate', () => medium.locateEnd()),
    readBlock: async (into) => {
      const fault = faults.next('read');
      if (fault?.kind === 'fail' && fault.when === 'before') throw injected('read', fault.code);
      const block = await medium.readBlock(into);
      if (fault?.kind === 'fail') throw injected('read', fault.code);
      return fault === null || typeof block === 'string' ? block : damaged(block, fault);
    },
    writeBlock: (data) => faults.around('write', () => medium.writeBlock(data)),
    writeFilemark: (options) => faults.around(options.sync ? 'sync' : 'filemark', () => medium.writeFilemark(options)),
  });
}

function damaged(block: Buffer, fault: Exclude<Fault, { kind: 'fail' }>): Buffer {
  if (fault.kind === 'short') return block.subarray(0, -1);
  const bit = fault.bit % (8 * block.length);
  block[bit >> 3] = (block[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return block;
}

const retries: Readonly<Record<string, Retry>> = { EIO: 'other-copy', ENOSPC: 'other-copy', EBUSY: 'later', EAGAIN: 'later' };

const injected = (operation: FaultyOperation, code: string): HsmError =>
  new HsmError(code, `${operation} failed by plan`, { retry: retries[code] ?? 'never' });
