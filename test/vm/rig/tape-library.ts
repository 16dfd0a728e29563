/** A tape library for guests: tgtd on this machine's loopback plays drives and a robot, which QEMU hands on as SCSI devices. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { execa } from 'execa';
import { until } from '../../fixtures/until.ts';

export interface TapeLibraryOptions {
  readonly drives: number;
  readonly slots: number;
  /** Of each cartridge; early warning comes there. */
  readonly sizeMiB: number;
  /** Its number of the last slots hold cleaning cartridges, by their barcodes: CLN001L1 and on. Default 0. */
  readonly cleaning?: number;
}

export interface TapeLibrary {
  /** Arguments for QEMU. */
  readonly devices: readonly string[];
  /** tgtd is killed, in whatever it does. */
  readonly crash: () => Promise<void>;
  /** It runs again, at its old address, with every cartridge in its slot and the drives empty: that is all that it knows to do. */
  readonly restart: () => Promise<void>;
}

const target = 'iqn.2026-01.test:library';

/** Everything is gone when the test ends. Cartridges are TAP001L8 and on, in slots 1 and on. */
export async function tapeLibrary(t: ExecutionContext, options: TapeLibraryOptions): Promise<TapeLibrary> {
  const { drives, slots, sizeMiB, cleaning = 0 } = options;
  const folder = mkdtempSync(join(tmpdir(), 'hsm-tapes-'));
  const port = await freePort();
  const barcodes = Array.from({ length: slots }, (_, i) => (i < slots - cleaning ? `TAP${number(i)}L8` : `CLN${number(i - slots + cleaning)}L1`));
  for (const barcode of barcodes) {
    await execa('tgtimg', ['--op', 'new', '--device-type', 'tape', '--barcode', barcode, '--size', `${sizeMiB}`, '--type', 'data', '--file', join(folder, barcode)], { timeout: 30_000 });
  }
  let crash = async (): Promise<void> => undefined;
  const start = async (): Promise<void> => {
    crash = await serve(folder, port, drives, barcodes);
  };
  t.teardown(async () => {
    await crash();
    rmSync(folder, { recursive: true, force: true });
  });
  await start();
  const units = Array.from({ length: drives + 1 }, (_, i) => i + 1);
  return { devices: ['-device', 'virtio-scsi-pci,id=scsi,max_sectors=8192', ...units.flatMap((lun) => device(port, lun))], crash: () => crash(), restart: start };
}

const number = (index: number): string => String(index + 1).padStart(3, '0');

/** Resolves with what kills it, when it serves. */
async function serve(folder: string, port: number, drives: number, barcodes: readonly string[]): Promise<() => Promise<void>> {
  const socket = join(folder, 'socket');
  const env = { TGT_IPC_SOCKET: socket };
  for (const left of [socket, `${socket}.0`, `${socket}.0.lock`]) rmSync(left, { force: true });
  const server = execa('tgtd', ['-f', '--iscsi', `portal=127.0.0.1:${port}`], { env, stdin: 'ignore', stdout: 'ignore', stderr: 'ignore', reject: false });
  const admin = (...words: readonly string[]): Promise<unknown> => execa('tgtadm', ['--lld', 'iscsi', ...words], { env, timeout: 30_000 });
  await until(async () => (await execa('tgtadm', ['--op', 'show', '--mode', 'sys'], { env, reject: false, timeout: 30_000 })).exitCode === 0);
  await admin('--op', 'new', '--mode', 'target', '--tid', '1', '-T', target);
  const unit = (lun: number, ...words: readonly string[]): Promise<unknown> => admin('--mode', 'lu', '--tid', '1', '--lun', `${lun}`, ...words);
  const numbers = Array.from({ length: drives }, (_, i) => i + 1);
  for (const lun of numbers) {
    await unit(lun, '--op', 'new', '-b', join(folder, barcodes[lun - 1] ?? ''), '--device-type=tape');
    await unit(lun, '--op', 'update', '--params', `vendor_id=TEST,product_id=VDRIVE,product_rev=0001,scsi_sn=DRV${lun},removable=1,online=0`);
  }
  await robot(drives + 1, folder, { drives: numbers, barcodes, unit });
  await admin('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL');
  return async () => {
    server.kill('SIGKILL');
    await server;
  };
}

interface RobotOptions {
  readonly drives: readonly number[];
  readonly barcodes: readonly string[];
  readonly unit: (lun: number, ...words: readonly string[]) => Promise<unknown>;
}

/** Element types of SMC: 1 the arm, 2 slots, 3 the door, 4 drives. */
async function robot(lun: number, folder: string, { drives, barcodes, unit }: RobotOptions): Promise<void> {
  const memory = join(folder, 'robot');
  writeFileSync(memory, Buffer.alloc(1024));
  const set = (params: string): Promise<unknown> => unit(lun, '--op', 'update', '--params', params);
  await unit(lun, '--op', 'new', '-b', memory, '--device-type=changer');
  await set(`vendor_id=TEST,product_id=VLIBRARY,product_rev=0001,scsi_sn=LIB1,removable=1,media_home=${folder}`);
  await set(`element_type=4,start_address=1,quantity=${drives.length}`);
  for (const drive of drives) await set(`element_type=4,address=${drive},tid=1,lun=${drive}`);
  await set('element_type=1,start_address=16,quantity=1');
  await set('element_type=3,start_address=768,quantity=2');
  await set(`element_type=2,start_address=1024,quantity=${barcodes.length}`);
  for (const [slot, barcode] of barcodes.entries()) await set(`element_type=2,address=${1024 + slot},barcode=${barcode},sides=1`);
}

const device = (port: number, lun: number): string[] => [
  ...['-drive', `file=iscsi://127.0.0.1:${port}/${target}/${lun},if=none,id=tape${lun},format=raw,cache=none`],
  ...['-device', `scsi-generic,bus=scsi.0,drive=tape${lun},scsi-id=0,lun=${lun}`],
];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}
