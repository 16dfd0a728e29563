/** Members of a container that is put together, as the packer tells of those that it packs. */
import { packStatus, type PackedMembers } from '../../native/index.ts';
import type { MemberToCopy } from './member-copier.ts';

export type CopiedMember = MemberToCopy & { readonly headerLength: number };

export class CopyRows {
  readonly #begun = new Map<number, CopiedMember>();
  #whole: { readonly row: number; readonly member: CopiedMember }[] = [];

  /** `member`: with its place in the new container. */
  begin(row: number, member: CopiedMember): void {
    this.#begun.set(row, member);
  }

  end(row: number, isRight: boolean): void {
    const member = this.#begun.get(row);
    this.#begun.delete(row);
    if (member !== undefined && isRight) this.#whole.push({ row, member });
  }

  /** Those that have ended since the last call. */
  take(): PackedMembers {
    const whole = this.#whole;
    this.#whole = [];
    const numbers = (of: (member: CopiedMember) => number): Float64Array => Float64Array.from(whole, ({ member }) => of(member));
    return {
      count: whole.length,
      row: Uint32Array.from(whole, ({ row }) => row),
      status: new Int32Array(whole.length).fill(packStatus.packed),
      offset: numbers(({ offset }) => offset),
      length: numbers(({ length }) => length),
      headerLength: numbers(({ headerLength }) => headerLength),
      size: numbers(({ size }) => size),
      mtimeNs: BigInt64Array.from(whole, ({ member }) => member.mtimeNs),
      ctimeNs: new BigInt64Array(whole.length),
      ino: new Float64Array(whole.length),
      nlink: new Uint32Array(whole.length).fill(1),
      handleHash: new Uint32Array(whole.length),
      objectIds: Buffer.concat(whole.map(({ member }) => member.object)),
      sha256: Buffer.concat(whole.map(({ member }) => member.sha256)),
    };
  }
}
