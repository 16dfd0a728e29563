/** What the scheduler is told of the tapes: how their drives move, and where blocks lie. */
import type { Catalog } from '../catalog/model.ts';
import type { Config } from '../config.ts';
import { modelOfBarcode, mountSeconds, physicalPosition, tapeModel, type TapeModel } from '../library/timing.ts';
import type { RecallerOptions } from '../recall/recaller-options.ts';
import { blockSize } from '../recall/scheduler/travel.ts';

/** What changing a volume costs where nothing is known of the drives, seconds. */
const unknownMountSeconds = 90;

export function tapeKnowledge({ library, recall }: Config, catalog: Pick<Catalog, 'volume'>): Pick<RecallerOptions, 'scheduler' | 'modelOf' | 'geometryOf'> {
  const model = library.kind === 'virtual' ? tapeModel(library.timing) : null;
  return {
    scheduler: {
      batchWindowMs: recall.batchWindowMs,
      turnMs: recall.turnS * 1000,
      share: recall.share,
      mountSeconds: model !== null ? mountSeconds(model) : library.kind === 'virtual' ? 0 : unknownMountSeconds,
    },
    modelOf: library.kind === 'virtual' ? () => model : modelOfBarcode,
    // How much a real drive compresses is unknown, and with it where its blocks lie.
    geometryOf: async (barcode) => {
      const volume = model === null ? undefined : await catalog.volume(barcode);
      return volume === undefined || model === null ? null : geometry(model, volume.capacity);
    },
  };
}

const geometry = (model: TapeModel, capacity: number) => ({ model, position: (block: number) => physicalPosition(model, capacity, block * blockSize) });
