import { tapeModels } from '../../src/library/timing.ts';
import { TapeMechanics } from '../../src/library/tape-mechanics.ts';
import { Faults, withFaults } from '../../src/media/decorators/with-faults.ts';
import { newMediumCounters, withMetrics } from '../../src/media/decorators/with-metrics.ts';
import { withRetry } from '../../src/media/decorators/with-retry.ts';
import { cartridgeFixture } from '../fixtures/cartridge.ts';
import { hastyClock } from '../fixtures/hasty-clock.ts';
import { mediumSuite } from '../suites/medium.ts';

mediumSuite('virtual cartridge', (t, capacity) => cartridgeFixture(t, capacity));

mediumSuite('withFaults without a fault', (t, capacity) => cartridgeFixture(t, capacity, {}, (medium) => withFaults(medium, new Faults())));

mediumSuite('withRetry', (t, capacity) => cartridgeFixture(t, capacity, {}, (medium) => withRetry(medium)));

mediumSuite('withMetrics', (t, capacity) => cartridgeFixture(t, capacity, {}, (medium) => withMetrics(medium, newMediumCounters())));

mediumSuite('virtual cartridge with the timing of LTO-9', (t, capacity) =>
  cartridgeFixture(t, capacity, {
    mechanics: (record) => new TapeMechanics(tapeModels.lto9, record.capacity, hastyClock(), new AbortController().signal),
  }),
);
