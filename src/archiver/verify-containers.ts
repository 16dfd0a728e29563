/** Reads containers back and compares every member with its hash, a volume at a time, in tape order. */
import type { ContainerRow } from '../catalog/model.ts';
import { errorCode } from '../errors.ts';
import { LoadError } from '../library/drive-pool.ts';
import { extractMembers, verifyContainer, type MemberColumns } from '../media/containers.ts';
import type { Medium } from '../media/medium.ts';
import { extractStatus, type ExtractTarget } from '../native/index.ts';
import type { ArchiverContext } from './context.ts';

export interface ContainerToVerify {
  readonly container: Pick<ContainerRow, 'id' | 'volume' | 'number' | 'startBlock' | 'state'>;
  /** Called when it is its turn. */
  readonly members: () => Promise<MemberColumns>;
  /** True when only `members` are to be read, not the rest of the container: it cannot become verified by that. */
  readonly partly?: boolean;
}

export interface Damage {
  readonly container: ContainerToVerify['container'];
  /** Of the container's members; null for its index. */
  readonly row: number | null;
  /** `bad-hash`, `wrong-member`, `truncated` or `bad-index`. */
  readonly reason: string;
}

export interface VerifyOptions {
  /** Members read so far, and their bytes. */
  readonly onProgress?: (files: number, bytes: number) => void;
  readonly onDamage?: (damage: Damage, members: MemberColumns) => void;
  /** Between containers: true ends it. */
  readonly stopped?: () => boolean;
}

export interface VerifyResult {
  /** Ids of containers of which every member was right; the catalogue has them as verified. */
  readonly verified: ReadonlySet<number>;
  readonly files: number;
  readonly damaged: number;
  /** Volumes that could not be read on, and why. */
  readonly unread: ReadonlyMap<string, Error>;
}

type VerifyContext = Pick<ArchiverContext, 'catalog' | 'drives' | 'log'>;

/** A volume that is damaged or fails to read becomes suspect; the others go on. Errors of the catalogue and of the drives as a whole are thrown. */
export async function verifyContainers(context: VerifyContext, wanted: readonly ContainerToVerify[], options: VerifyOptions = {}): Promise<VerifyResult> {
  const run = new Verification(context, options);
  const volumes = Map.groupBy(wanted, ({ container }) => container.volume);
  const ends = await Promise.allSettled([...volumes].map(([barcode, containers]) => run.volume(barcode, containers)));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return run;
}

class Verification implements VerifyResult {
  readonly verified = new Set<number>();
  readonly unread = new Map<string, Error>();
  files = 0;
  damaged = 0;
  #bytes = 0;
  readonly #context: VerifyContext;
  readonly #options: VerifyOptions;

  constructor(context: VerifyContext, options: VerifyOptions) {
    this.#context = context;
    this.#options = options;
  }

  async volume(barcode: string, containers: readonly ContainerToVerify[]): Promise<void> {
    const inOrder = containers.toSorted((a, b) => a.container.startBlock - b.container.startBlock);
    for (const each of inOrder) {
      if (this.#options.stopped?.() === true) return;
      try {
        // One lease a container: a recall that waits for the drive gets it in between.
        await this.#context.drives.withVolume(barcode, 'read', 'archive', (medium) => this.#container(medium, each));
      } catch (error) {
        if (!(await this.#isOfVolume(each.container, error))) throw error;
        this.unread.set(barcode, error as Error);
        return;
      }
    }
  }

  /** Volumes that cannot be loaded now may be good. */
  async #isOfVolume({ volume, number }: ContainerToVerify['container'], error: unknown): Promise<boolean> {
    if (error instanceof LoadError) return error.code !== 'ECANCELED' && error.code !== 'NO_DRIVE';
    const code = errorCode(error);
    if (code === 'EIO' || code === 'EINVAL' || code === 'ENOMEM') {
      await this.#suspect(volume, `container ${number} cannot be read: ${(error as Error).message}`);
      return true;
    }
    return code === 'NOT_LOADED' || code === 'EBUSY';
  }

  async #container(medium: Medium, { container, members, partly }: ContainerToVerify): Promise<void> {
    const columns = await members();
    const damage = partly === true ? await readMembers(medium, container, columns) : await readWhole(medium, container, columns);
    this.files += columns.count;
    for (let row = 0; row < columns.count; row += 1) this.#bytes += columns.size[row]!;
    this.#options.onProgress?.(this.files, this.#bytes);
    if (damage.length > 0) {
      this.damaged += damage.length;
      for (const each of damage) this.#options.onDamage?.(each, columns);
      await this.#suspect(container.volume, `container ${container.number} is damaged: ${damage.length} of ${columns.count} members, the first as ${damage[0]!.reason}`);
    } else if (partly !== true) {
      await this.#context.catalog.markVerified([container.id]);
      this.verified.add(container.id);
    }
  }

  async #suspect(barcode: string, reason: string): Promise<void> {
    this.#context.log.warn({ barcode, reason }, 'a volume is suspect');
    const volume = await this.#context.catalog.volume(barcode);
    if (volume !== undefined && volume.state !== 'suspect' && volume.state !== 'failed') await this.#context.catalog.setVolume(barcode, { state: 'suspect', reason });
    await this.#context.catalog.logEvent('volume-suspect', null, { barcode, reason });
  }
}

async function readWhole(medium: Medium, container: ContainerToVerify['container'], members: MemberColumns): Promise<Damage[]> {
  const { damaged, index } = await verifyContainer(medium, container.startBlock, members);
  const damage: Damage[] = damaged.map(({ row, status }) => ({ container, row, reason: reasonOf(status) }));
  // A truncated container never had an index.
  if (!index && container.state === 'closed') damage.push({ container, row: null, reason: 'bad-index' });
  return damage;
}

async function readMembers(medium: Medium, container: ContainerToVerify['container'], { count, offset, size, objectIds, sha256 }: MemberColumns): Promise<Damage[]> {
  const targets = Array.from({ length: count }, (_, row): ExtractTarget => ({
    offset: offset[row]!,
    objectId: objectIds.subarray(row * 16, row * 16 + 16),
    size: size[row]!,
    sha256: sha256.subarray(row * 32, row * 32 + 32),
    fd: -1,
    record: null,
  }));
  const status = await extractMembers(medium, container.startBlock, targets);
  return [...status.entries()].flatMap(([row, how]) => (how === extractStatus.restored ? [] : [{ container, row, reason: reasonOf(how) }]));
}

const reasons: Readonly<Record<number, string>> = {
  [extractStatus.badHash]: 'bad-hash',
  [extractStatus.wrongMember]: 'wrong-member',
  [extractStatus.truncated]: 'truncated',
};

const reasonOf = (status: number): string => reasons[status] ?? `status ${status}`;
