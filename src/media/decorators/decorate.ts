import type { Medium } from '../medium.ts';

/** `medium` with some of its methods replaced. */
export function decorate(medium: Medium, replaced: Partial<Medium>): Medium {
  return {
    get barcode() {
      return medium.barcode;
    },
    get writeProtected() {
      return medium.writeProtected;
    },
    ...(medium.readBack === undefined ? {} : { readBack: medium.readBack }),
    position: () => medium.position(),
    rewind: () => medium.rewind(),
    locate: (address) => medium.locate(address),
    ...(medium.spaceFilemark === undefined ? {} : { spaceFilemark: () => medium.spaceFilemark!() }),
    locateEnd: () => medium.locateEnd(),
    readBlock: (into) => medium.readBlock(into),
    writeBlock: (data) => medium.writeBlock(data),
    writeFilemark: (options) => medium.writeFilemark(options),
    capacity: () => medium.capacity(),
    physicalPosition: (address) => medium.physicalPosition(address),
    ...(medium.recommendedOrder === undefined ? {} : { recommendedOrder: (stretches) => medium.recommendedOrder!(stretches) }),
    ...replaced,
  };
}
