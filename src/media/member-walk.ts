/** Reads a container member by member, from its headers alone: for when the index is not known or not to be trusted. */
import { hash } from 'node:crypto';
import { native, type ParsedMember } from '../native/index.ts';
import { isIndexName } from './format.ts';

export type Member = Extract<ParsedMember, { status: 'ok' }> & { readonly offset: number };

/** Payload of an index, and whether it has the hash that its header names and the header is whole. */
export interface FoundIndex {
  readonly offset: number;
  readonly payload: Buffer;
  readonly intact: boolean;
}

/** Takes a container's bytes in order, from a member's first byte on. Payloads are skipped, but for the index member's. */
export class MemberWalk {
  /** `end`: the archive's end was seen. `lost`: what is at `position` is no member. */
  state: 'walking' | 'end' | 'lost' = 'walking';
  /** Container offset of the next byte that is wanted; bytes before it may be left out. */
  position: number;
  index: FoundIndex | null = null;
  readonly #found: (member: Member, header: Buffer) => void;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #need = 512;
  #inIndex: Member | null = null;

  constructor(position: number, found: (member: Member, header: Buffer) => void = () => undefined) {
    this.position = position;
    this.#found = found;
  }

  /** Bytes `[offset, offset + data.length)`; a gap before them loses the walk. The data is copied where it is kept. */
  feed(offset: number, data: Buffer): void {
    while (this.state === 'walking' && this.position < offset + data.length) {
      if (this.position < offset) {
        this.state = 'lost';
        return;
      }
      const part = data.subarray(this.position - offset, this.position - offset + this.#need - this.#heldBytes);
      this.#held.push(Buffer.from(part));
      this.#heldBytes += part.length;
      this.position += part.length;
      if (this.#heldBytes < this.#need) return;
      const held = Buffer.concat(this.#held);
      if (this.#inIndex === null) this.#header(held);
      else this.#payload(this.#inIndex, held);
    }
  }

  #header(held: Buffer): void {
    const parsed = native.parseMember(held);
    if (parsed.status === 'more') {
      this.#held = [held];
      this.#need = parsed.need;
      return;
    }
    if (parsed.status !== 'ok') {
      this.state = parsed.status === 'end' ? 'end' : 'lost';
      return;
    }
    const member: Member = { ...parsed, offset: this.position - held.length };
    this.#found(member, held.subarray(0, parsed.headerLength));
    if (isIndexName(member.name) && member.payload <= largestIndex) {
      this.#inIndex = member;
      this.#want(member.payload);
    } else {
      this.position += padded(member.payload);
      this.#want(512);
    }
  }

  #payload(member: Member, held: Buffer): void {
    this.#inIndex = null;
    const payload = held.subarray(0, member.payload);
    this.index = { offset: member.offset, payload, intact: member.intact && member.sha256 !== null && sha256(payload).equals(member.sha256) };
    this.position += padded(member.payload) - member.payload;
    this.#want(512);
  }

  #want(bytes: number): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#need = bytes;
  }
}

/** Far more than 250,000 members need. */
const largestIndex = 2 ** 29;

const padded = (bytes: number): number => Math.ceil(bytes / 512) * 512;

const sha256 = (data: Buffer): Buffer => hash('sha256', data, 'buffer');
