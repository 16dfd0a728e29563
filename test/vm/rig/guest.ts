/** A machine of its own under QEMU, without KVM if need be. It sees this machine's files, read-only, and its disks. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { kernelOf, type Kernel, type KernelName } from './kernels.ts';

export interface GuestOptions {
  readonly kernel: KernelName;
  /** Shell commands, run by root's bash. */
  readonly script: string;
  /** Files (raw) or `driver=...` node descriptions that become /dev/vda, vdb, ... */
  readonly disks?: readonly string[];
  /** Further arguments of QEMU. */
  readonly devices?: readonly string[];
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** How long it may live, in ms. */
  readonly limit: number;
  /** Each line that it prints, as it comes. */
  readonly onLine?: (line: string) => void;
}

export interface Ended {
  /** The script's; null when the guest ended without telling: killed, crashed, or over its limit. */
  readonly exitCode: number | null;
  readonly lines: readonly string[];
  /** What QEMU complains about, and the end of what the guest's kernel had to say. */
  readonly console: string;
}

export interface Guest {
  /** Pulls the plug: nothing of the guest runs on. */
  readonly cutPower: () => void;
  readonly ended: Promise<Ended>;
}

/** /dev/kvm may be there and not work, which QEMU notices too late: whoever has a good one says `kvm`. */
const accelerator = process.env['HSM_VM_ACCEL'] ?? 'tcg,thread=multi';

/** Starts it; resolves at once. A guest that dies before it prints anything is started once more; nothing else is. */
export async function startGuest(options: GuestOptions): Promise<Guest> {
  const kernel = await kernelOf(options.kernel);
  let isCut = false;
  let machine = startMachine(kernel, options);
  const ended = (async () => {
    const first = await machine.ended;
    if (isCut || first.exitCode !== null || first.lines.length > 0) return first;
    machine = startMachine(kernel, options);
    return machine.ended;
  })();
  const cutPower = (): void => {
    isCut = true;
    machine.cutPower();
  };
  return { cutPower, ended };
}

function startMachine(kernel: Kernel, options: GuestOptions): Guest {
  const folder = mkdtempSync(join(tmpdir(), 'hsm-guest-'));
  const script = join(folder, 'script');
  const serial = join(folder, 'console');
  writeFileSync(script, options.script);
  const machine = execa(
    'qemu-system-x86_64',
    [
      ...['-machine', 'q35', '-accel', accelerator, '-cpu', 'max', '-smp', `${options.cpus ?? 2}`, '-m', `${options.memoryMiB ?? 2048}`],
      ...['-nodefaults', '-no-reboot', '-display', 'none', '-serial', `file:${serial}`],
      ...['-kernel', kernel.image, '-initrd', kernel.initramfs, '-append', commandLine(script, kernel.modules)],
      ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
      ...['-chardev', 'stdio,id=out,signal=off', '-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=out,name=hsm.out'],
      ...['-device', 'virtio-rng-pci'],
      ...(options.disks ?? []).flatMap(diskArguments),
      ...(options.devices ?? []),
    ],
    // Were its standard input at its end, the guest's port would be closed.
    { reject: false, timeout: options.limit, killSignal: 'SIGKILL', stdin: 'pipe', buffer: false },
  );
  let complaints = '';
  machine.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const ended = (async () => {
    const lines: string[] = [];
    for await (const line of machine.iterable({ from: 'stdout' })) {
      lines.push(line);
      options.onLine?.(line);
    }
    await machine;
    const status = /^guest: exit (\d+)$/.exec(lines.at(-1) ?? '')?.[1];
    const console = complaints + (existsSync(serial) ? readFileSync(serial, 'utf8').slice(-4000) : '');
    rmSync(folder, { recursive: true, force: true });
    return { exitCode: status === undefined ? null : Number(status), lines, console };
  })();
  return { cutPower: () => void machine.kill('SIGKILL'), ended };
}

/** Mitigations cost an emulated processor much and protect nothing here; its timers may seem broken on a busy machine. */
const commandLine = (script: string, modules: string): string =>
  ['console=ttyS0 quiet loglevel=4 panic=1 mitigations=off no_timer_check', `hsm.script=${script}`, `hsm.modules=${modules}`].join(' ');

const diskArguments = (disk: string, index: number): string[] => {
  const node = disk.startsWith('driver=') ? disk : `driver=raw,file.driver=file,file.filename=${disk}`;
  return ['-blockdev', `node-name=disk${index},${node}`, '-device', `virtio-blk-pci,drive=disk${index}`];
};
