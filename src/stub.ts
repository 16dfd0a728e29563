/** The stub record: the 64 bytes of xattr `security.bpf.hsm` that say where a file's data is (docs/design.md). */
import { native } from './native/index.ts';

export const stubXattr = 'security.bpf.hsm';
export const stubRecordSize = 64;

export interface StubRecord {
  readonly flags: number;
  /** Barcode of the first copy's volume, at most 8 ASCII characters. */
  readonly volume: string;
  /** Container number on the volume. */
  readonly container: number;
  /** Byte offset of the member's pax header in the container. */
  readonly offset: number;
  /** 16 bytes. */
  readonly object: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** CRC-32C of the inode's file handle: binds the record to its inode. */
  readonly handleHash: number;
}

const magic = 0x5348; // "HS"
const version = 1;

/** 64 bytes, little-endian: magic u16, version u8, flags u8, container u32, volume 8 B, offset u64, object 16 B, size u64, mtime i64, handle hash u32, CRC-32C u32. */
export function encodeStubRecord(record: StubRecord): Buffer {
  const out = Buffer.alloc(stubRecordSize);
  out.writeUInt16LE(magic, 0);
  out.writeUInt8(version, 2);
  out.writeUInt8(record.flags, 3);
  out.writeUInt32LE(record.container, 4);
  out.write(record.volume, 8, 8, 'latin1');
  out.writeBigUInt64LE(BigInt(record.offset), 16);
  record.object.copy(out, 24, 0, 16);
  out.writeBigUInt64LE(BigInt(record.size), 40);
  out.writeBigInt64LE(record.mtimeNs, 48);
  out.writeUInt32LE(record.handleHash, 56);
  out.writeUInt32LE(native.crc32c(out.subarray(0, 60)), 60);
  return out;
}

/** The record, or null when the bytes are not a record that this version wrote whole. */
export function decodeStubRecord(bytes: Buffer): StubRecord | null {
  if (bytes.length !== stubRecordSize) return null;
  if (bytes.readUInt16LE(0) !== magic || bytes.readUInt8(2) !== version) return null;
  if (bytes.readUInt32LE(60) !== native.crc32c(bytes.subarray(0, 60))) return null;
  return {
    flags: bytes.readUInt8(3),
    container: bytes.readUInt32LE(4),
    volume: bytes.toString('latin1', 8, 16).replace(/\0+$/, ''),
    offset: Number(bytes.readBigUInt64LE(16)),
    object: Buffer.from(bytes.subarray(24, 40)),
    size: Number(bytes.readBigUInt64LE(40)),
    mtimeNs: bytes.readBigInt64LE(48),
    handleHash: bytes.readUInt32LE(56),
  };
}
