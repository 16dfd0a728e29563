/** A SCSI robot, moved by the mtx program (mtx(1)). */
import { execa, ExecaError } from 'execa';
import { HsmError } from '../errors.ts';
import type { Changer, ChangerDrive, ChangerInventory, ChangerSlot } from './changer.ts';

export interface MtxOptions {
  /** The robot's generic node: /dev/sch0, /dev/sgN or a link to one. */
  readonly device: string;
  /** The program and what goes before its arguments. */
  readonly command?: readonly [string, ...string[]];
  /** A move that takes longer has failed: ten minutes are more than any robot needs. */
  readonly timeoutMs?: number;
}

export class MtxChanger implements Changer {
  readonly #device: string;
  readonly #command: readonly [string, ...string[]];
  readonly #timeout: number;

  constructor(options: MtxOptions) {
    this.#device = options.device;
    this.#command = options.command ?? ['mtx'];
    this.#timeout = options.timeoutMs ?? 600_000;
  }

  async inventory(): Promise<ChangerInventory> {
    return parseMtxStatus(await this.#mtx('status'));
  }

  async rescan(): Promise<void> {
    await this.#mtx('inventory');
  }

  async load(slot: number, drive: number): Promise<void> {
    await this.#mtx('load', slot, drive);
  }

  async unload(drive: number, slot: number): Promise<void> {
    await this.#mtx('unload', slot, drive);
  }

  async transfer(from: number, to: number): Promise<void> {
    await this.#mtx('transfer', from, to);
  }

  async #mtx(...words: readonly (string | number)[]): Promise<string> {
    const [program, ...before] = this.#command;
    try {
      const { stdout } = await execa(program, [...before, '-f', this.#device, ...words.map(String)], {
        stdin: 'ignore',
        timeout: this.#timeout,
        env: { LC_ALL: 'C' },
      });
      return stdout;
    } catch (cause) {
      throw new HsmError('EIO', `the robot ${this.#device} failed to ${words.join(' ')}: ${why(cause)}`, { retry: 'later', path: this.#device, cause });
    }
  }
}

function why(error: unknown): string {
  if (!(error instanceof ExecaError)) return String(error);
  if (error.code === 'ENOENT') return 'there is no program mtx: install it (apt install mtx)';
  if (error.timedOut) return 'it took too long';
  const said = String(error.stderr)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  // mtx prints the request sense field by field; the last line says what it means.
  return said.at(-1) ?? error.shortMessage;
}

const drivePattern = /^Data Transfer Element (\d+):\s*(Empty|Full)(?: \((?:Storage Element (\d+)|Unknown Storage Element) Loaded\))?(?:\s*:?\s*VolumeTag\s*=\s*(\S*))?/;
const slotPattern = /^Storage Element (\d+)( IMPORT\/EXPORT)?\s*:\s*(Empty|Full)(?:\s*:\s*VolumeTag\s*=\s*(\S*))?/;

/** What `mtx status` prints (mtx 1.3): one line an element. Fails with `EIO` when it names no drive. */
export function parseMtxStatus(text: string): ChangerInventory {
  const drives: ChangerDrive[] = [];
  const slots: ChangerSlot[] = [];
  for (const line of text.split('\n').map((each) => each.trim())) {
    const drive = drivePattern.exec(line);
    const slot = slotPattern.exec(line);
    if (drive !== null) {
      const full = drive[2] === 'Full';
      drives.push({ number: Number(drive[1]), full, barcode: full ? drive[4] || null : null, from: drive[3] === undefined ? null : Number(drive[3]) });
    } else if (slot !== null) {
      const full = slot[3] === 'Full';
      slots.push({ number: Number(slot[1]), full, barcode: full ? slot[4] || null : null, importExport: slot[2] !== undefined });
    }
  }
  if (drives.length === 0) throw new HsmError('EIO', 'mtx status names no drive: is this the device of a robot?', { retry: 'later' });
  return { drives, slots };
}
