/** A cartridge of LTFS's file backend: a folder that the programs of LTFS take for a drive with a tape in it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatLtfs, type LtfsPrograms } from './ltfs-mount.ts';

export interface NewLtfsCartridge {
  readonly barcode: string;
  /** Bytes; LTFS takes a part of them for its indexes. */
  readonly capacity: number;
  readonly writeProtected?: boolean;
}

/** Makes `path`, which must not be there, an empty volume. Fails with `EIO`, or `CONFIG` when LTFS is not installed. */
export async function createLtfsCartridge(path: string, cartridge: NewLtfsCartridge, programs?: LtfsPrograms): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await writeCartridgeConfig(path, cartridge);
  await formatLtfs({ barcode: cartridge.barcode, device: { name: path, backend: 'file' }, ...(programs === undefined ? {} : { programs }) });
}

/** What the file backend pretends to be. It reads all of these or none. */
export const writeCartridgeConfig = (path: string, { capacity, writeProtected = false }: NewLtfsCartridge): Promise<void> =>
  writeFile(
    join(path, 'filedebug_tc_conf.xml'),
    `<?xml version="1.0" encoding="UTF-8"?>
<filedebug_cartridge_config>
    <dummy_io>false</dummy_io>
    <emulate_readonly>${writeProtected}</emulate_readonly>
    <capacity_mb>${Math.ceil(capacity / 2 ** 20)}</capacity_mb>
    <cart_type>L5</cart_type>
    <density_code>58</density_code>
    <delay_mode>None</delay_mode>
    <wraps>40</wraps>
    <eot_to_bot_sec>12</eot_to_bot_sec>
    <change_direction_us>2000000</change_direction_us>
    <change_track_us>10000</change_track_us>
    <threading_sec>0</threading_sec>
</filedebug_cartridge_config>
`,
  );
