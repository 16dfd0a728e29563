/** Which of the robot's drive elements is which tape drive: by serial number, as device names change from boot to boot. */
import { closeSync, constants, openSync } from 'node:fs';
import { errorCode, HsmError } from '../errors.ts';
import { native } from '../native/index.ts';

const timeoutMs = 60_000;

/** INQUIRY, unit serial number page (SPC-4, 7.8.16). Fails with `DRIVE_DOWN` when the device cannot be asked. */
export async function serialNumber(device: string): Promise<string> {
  const data = await command(device, Buffer.from([0x12, 1, 0x80, 0, 252, 0]), 252);
  return data.toString('latin1', 4, 4 + (data[3] ?? 0)).trim();
}

/** READ ELEMENT STATUS of the drives, with their identifiers: in the order in which mtx numbers them. Null where the robot does not know. */
export async function drivesOfChanger(device: string): Promise<(string | null)[]> {
  const cdb = Buffer.alloc(12);
  cdb[0] = 0xb8;
  // VOLTAG, so that the robot's two ways to lay out descriptors become one; element type 4: data transfer.
  cdb[1] = 0x14;
  cdb.writeUInt16BE(0xffff, 4);
  // DVCID
  cdb[6] = 1;
  cdb.writeUIntBE(replyLength, 7, 3);
  return parseDriveIdentifiers(await command(device, cdb, replyLength));
}

const replyLength = 32_768;
const identifierAt = { withTag: 48, plain: 12 };

/** SMC-3, 6.11: a header of 8 bytes, then for each page a header of 8 and its descriptors. */
export function parseDriveIdentifiers(data: Buffer): (string | null)[] {
  const found: { readonly address: number; readonly identifier: string | null }[] = [];
  for (let page = 8; page + 8 <= data.length; ) {
    const type = data.readUInt8(page);
    const tagged = (data.readUInt8(page + 1) & 0x80) !== 0;
    const length = data.readUInt16BE(page + 2);
    const end = Math.min(page + 8 + data.readUIntBE(page + 5, 3), data.length);
    if (length === 0) break;
    for (let at = page + 8; type === 4 && at + length <= end; at += length) found.push({ address: data.readUInt16BE(at), identifier: identifierOf(data.subarray(at, at + length), tagged) });
    if (end <= page + 8) break;
    page = end;
  }
  return found.sort((a, b) => a.address - b.address).map(({ identifier }) => identifier);
}

/** An identification descriptor: code set, type, a reserved byte, length, text. */
function identifierOf(descriptor: Buffer, tagged: boolean): string | null {
  const at = tagged ? identifierAt.withTag : identifierAt.plain;
  if (descriptor.length < at + 4) return null;
  const length = descriptor.readUInt8(at + 3);
  const text = descriptor
    .toString('latin1', at + 4, at + 4 + length)
    .replaceAll('\0', ' ')
    .trim();
  return text === '' ? null : text;
}

/**
 * The robot's numbers of drives, given their serials: identifiers are the serial alone, or vendor, product and serial in one. The last
 * drive gets the last number, as some robots cut identifiers short. Null where nobody can tell.
 */
export function elementsOf(serials: readonly string[], identifiers: readonly (string | null)[]): (number | null)[] {
  const found = serials.map((serial) => {
    const numbers = identifiers.flatMap((identifier, number) => (identifier === serial || identifier?.split(/\s+/).at(-1) === serial ? [number] : []));
    return numbers.length === 1 ? numbers[0]! : null;
  });
  const left = [...identifiers.keys()].filter((number) => !found.includes(number));
  const lacking = found.filter((number) => number === null).length;
  return found.map((number) => number ?? (lacking === 1 && left.length === 1 ? left[0]! : null));
}

async function command(device: string, cdb: Buffer, reply: number): Promise<Buffer> {
  let fd: number;
  try {
    fd = openSync(device, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    throw new HsmError('DRIVE_DOWN', `cannot open ${device}: ${errorCode(cause)}`, { retry: 'later', path: device, cause });
  }
  try {
    const { status, data } = await native.scsiCommand(fd, cdb, reply, timeoutMs);
    if (status === 0) return data;
    throw new HsmError('DRIVE_DOWN', `${device} does not answer SCSI command ${cdb.toString('hex', 0, 1)}`, { retry: 'later', path: device });
  } catch (cause) {
    if (cause instanceof HsmError) throw cause;
    throw new HsmError('DRIVE_DOWN', `${device} cannot be asked: ${errorCode(cause)}`, { retry: 'later', path: device, cause });
  } finally {
    closeSync(fd);
  }
}
