/** Which object lies where in a .tap: run-length coded, so that a terabyte of equal blocks takes a few hundred bytes. */
import { tapSize } from './tap.ts';

/** Consecutive objects with the same marker and nothing between them. */
export interface TapRun {
  readonly offset: number;
  readonly marker: number;
  readonly count: number;
}

export class TapIndex {
  #first = new Float64Array(16);
  #offset = new Float64Array(16);
  #marker = new Uint32Array(16);
  #runs = 0;
  /** Run of the last lookup: sequential access needs no search. */
  #last = 0;
  #endAddress = 0;
  #endOffset = 0;

  /** Address behind the last object, which is also the number of objects. */
  get endAddress(): number {
    return this.#endAddress;
  }

  /** File offset behind the last object. */
  get endOffset(): number {
    return this.#endOffset;
  }

  get runs(): number {
    return this.#runs;
  }

  push(marker: number, count = 1): void {
    const last = this.#runs - 1;
    if (last < 0 || this.#marker[last] !== marker || this.#runEnd(last) !== this.#endOffset) this.#addRun(marker);
    this.#endAddress += count;
    this.#endOffset += count * tapSize(marker);
  }

  /** Bytes that belong to no object: an erase gap. */
  skip(bytes: number): void {
    this.#endOffset += bytes;
  }

  markerAt(address: number): number {
    return this.#marker[this.#find(address)] ?? 0;
  }

  /** File offset of the object at `address`, or of the end of data. */
  offsetOf(address: number): number {
    if (address >= this.#endAddress) return this.#endOffset;
    const run = this.#find(address);
    return (this.#offset[run] ?? 0) + (address - (this.#first[run] ?? 0)) * tapSize(this.#marker[run] ?? 0);
  }

  /** Address of the first object with this marker at or behind `address`; null when there is none. */
  nextOf(marker: number, address: number): number | null {
    if (address >= this.#endAddress) return null;
    const first = this.#find(address);
    for (let run = first; run < this.#runs; run += 1) {
      if (this.#marker[run] === marker) return Math.max(address, this.#first[run] ?? 0);
    }
    return null;
  }

  /** Forgets the object at `address` and all behind it. */
  truncate(address: number): void {
    if (address >= this.#endAddress) return;
    const offset = this.offsetOf(address);
    const run = this.#find(address);
    this.#runs = this.#first[run] === address ? run : run + 1;
    this.#last = 0;
    this.#endAddress = address;
    this.#endOffset = offset;
  }

  /** The runs from `address` on, the first of them clipped. */
  *runsFrom(address: number): Generator<TapRun> {
    if (address >= this.#endAddress) return;
    let from = address;
    for (let run = this.#find(address); run < this.#runs; run += 1) {
      const next = run + 1 < this.#runs ? (this.#first[run + 1] ?? 0) : this.#endAddress;
      yield { offset: this.offsetOf(from), marker: this.#marker[run] ?? 0, count: next - from };
      from = next;
    }
  }

  #runEnd(run: number): number {
    return (this.#offset[run] ?? 0) + (this.#endAddress - (this.#first[run] ?? 0)) * tapSize(this.#marker[run] ?? 0);
  }

  #addRun(marker: number): void {
    if (this.#runs === this.#first.length) this.#grow();
    this.#first[this.#runs] = this.#endAddress;
    this.#offset[this.#runs] = this.#endOffset;
    this.#marker[this.#runs] = marker;
    this.#runs += 1;
  }

  #grow(): void {
    const size = 2 * this.#runs;
    const first = new Float64Array(size);
    const offset = new Float64Array(size);
    const marker = new Uint32Array(size);
    first.set(this.#first);
    offset.set(this.#offset);
    marker.set(this.#marker);
    this.#first = first;
    this.#offset = offset;
    this.#marker = marker;
  }

  #find(address: number): number {
    const holds = (run: number): boolean =>
      run < this.#runs && (this.#first[run] ?? 0) <= address && (run + 1 === this.#runs || address < (this.#first[run + 1] ?? 0));
    if (holds(this.#last)) return this.#last;
    if (holds(this.#last + 1)) return (this.#last += 1);
    let low = 0;
    let high = this.#runs - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#first[middle] ?? 0) <= address) low = middle;
      else high = middle - 1;
    }
    this.#last = low;
    return low;
  }
}
