/** What is in the chip of the cartridge in a drive: READ ATTRIBUTE (SPC-5, READ ATTRIBUTE command and Medium auxiliary memory attributes). */

export const attributesReplyLength = 16_384;

/** READ ATTRIBUTE, service action attribute values, of the first partition. */
export function readAttributes(): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x8c;
  cdb.writeUInt32BE(attributesReplyLength, 10);
  return cdb;
}

export interface MediumAttributes {
  readonly remainingMiB?: number;
  readonly capacityMiB?: number;
  readonly loads?: number;
  readonly megabytesWritten?: number;
  readonly megabytesRead?: number;
  readonly manufacturer?: string;
  readonly serial?: string;
  readonly manufactured?: string;
  readonly barcode?: string;
  readonly density?: number;
  /** `data`, or `cleaning`. */
  readonly type?: 'data' | 'cleaning';
}

const numbers: Readonly<Record<number, 'remainingMiB' | 'capacityMiB' | 'loads' | 'megabytesWritten' | 'megabytesRead' | 'density'>> = {
  0x0000: 'remainingMiB',
  0x0001: 'capacityMiB',
  0x0003: 'loads',
  0x0006: 'density',
  0x0220: 'megabytesWritten',
  0x0221: 'megabytesRead',
};

const texts: Readonly<Record<number, 'manufacturer' | 'serial' | 'manufactured' | 'barcode'>> = { 0x0400: 'manufacturer', 0x0401: 'serial', 0x0406: 'manufactured', 0x0806: 'barcode' };

const typeAttribute = 0x0408;

/** Null when there is nothing that can be read. */
export function parseAttributes(data: Buffer): MediumAttributes | null {
  if (data.length < 4) return null;
  const found: Record<string, unknown> = {};
  const end = Math.min(data.length, 4 + data.readUInt32BE(0));
  for (let at = 4; at + 5 <= end; ) {
    const id = data.readUInt16BE(at);
    const next = at + 5 + data.readUInt16BE(at + 3);
    if (next > end) break;
    const value = data.subarray(at + 5, next);
    const [number, text] = [numbers[id], texts[id]];
    if (number !== undefined && value.length > 0 && value.length <= 8 && !value.every((byte) => byte === 0xff)) found[number] = Number(BigInt(`0x${value.toString('hex')}`));
    else if (text !== undefined) found[text] = value.toString('latin1').replaceAll('\0', ' ').trim();
    else if (id === typeAttribute && value.length > 0) found['type'] = value.readUInt8(0) === 0x01 ? 'cleaning' : 'data';
    at = next;
  }
  for (const [key, value] of Object.entries(found)) if (value === '' || (typeof value === 'number' && !Number.isSafeInteger(value))) delete found[key];
  return Object.keys(found).length === 0 ? null : found;
}
