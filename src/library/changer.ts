/** A robot: what sits where, and moves between slots and drives. */

export interface ChangerElement {
  /** Slot number as the robot's tool counts them (from 1), or a drive's element number (from 0). */
  readonly number: number;
  readonly full: boolean;
  /** Null when it is empty, or when the cartridge bears no readable barcode. */
  readonly barcode: string | null;
}

export interface ChangerSlot extends ChangerElement {
  /** A slot in the door, for cartridges that come and go. */
  readonly importExport: boolean;
}

export interface ChangerDrive extends ChangerElement {
  /** The slot that its cartridge came from, where the robot remembers. */
  readonly from: number | null;
}

export interface ChangerInventory {
  readonly drives: readonly ChangerDrive[];
  readonly slots: readonly ChangerSlot[];
}

/** What an operator is to do. */
export interface OperatorRequest {
  readonly drive: string;
  /** The cartridge to be put in. */
  readonly barcode: string;
  /** Why what was put in last is not it; null at first. */
  readonly problem: string | null;
}

export const requestText = ({ drive, barcode, problem }: OperatorRequest): string => `${problem === null ? '' : `${problem}: `}put cartridge ${barcode} into ${drive}`;

/** One move at a time. Failures are HsmErrors `EIO` (retry 'later'); where things are then only inventory() knows. */
export interface Changer {
  /** From the robot's memory. */
  inventory(): Promise<ChangerInventory>;
  /** Makes the robot look into every slot, which takes minutes on large libraries. */
  rescan(): Promise<void>;
  /** `signal` ends the wait for an operator, with its reason; a robot moves to the end. */
  load(slot: number, drive: number, signal?: AbortSignal): Promise<void>;
  unload(drive: number, slot: number): Promise<void>;
  /** From slot to slot; left out where no slot is in a door. */
  transfer?(from: number, to: number): Promise<void>;
  /** Where cartridges become known by being named, since nothing can look for them. */
  add?(barcodes: readonly string[]): Promise<void>;
  /** What waits for an operator's hand. */
  readonly requests?: readonly OperatorRequest[];
}
