/**
 * What the order of recalls is worth on LTO-9, simulated with the drive model and the scheduler that the daemon uses. Goals: of FIFO's locate time at most 0.6 at 8
 * requests, 0.4 at 32 and 0.3 at 512, never more than sorting by block; the median error of what waiters are foretold at most 25 %.
 * usage: node bench/scheduler.ts [rounds]
 */
import { seededRandom } from '../test/fixtures/random.ts';
import { costOf, type Policy } from './scheduler/one-tape.ts';
import { requestAt, scatter, type SimulatedRequest, type Spread } from './scheduler/requests.ts';
import { SimulatedLibrary, type Served } from './scheduler/simulated-library.ts';

const rounds = Number(process.argv[2] ?? 20);
const fileBytes = 100e6;

const quantile = (values: readonly number[], share: number): number => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const text = (seconds: number): string => seconds.toFixed(seconds < 100 ? 1 : 0).padStart(7);

console.log(`one loaded tape, files of ${fileBytes / 1e6} MB, all asked for at once, ${rounds} rounds; seconds: mean locate, p99 locate, mean wait, p99 wait\n`);
for (const spread of ['uniform', 'clustered'] as const) {
  console.log(`${spread.padEnd(11)}${(['FIFO', 'sort', 'ours'] as const).map((policy) => `${policy}`.padEnd(30)).join('')}ours/FIFO  worse than sort`);
  for (const count of [8, 32, 128, 512, 2000]) compare(spread, count);
  console.log();
}
arrivals('two drives, six tapes, requests as they come', 1);
arrivals('the same, drives 30 % slower than the model', 1.3);

function compare(spread: Spread, count: number): void {
  const sets = Array.from({ length: rounds }, (_, round) => {
    const random = seededRandom(1000 * count + round);
    return scatter(spread, count, random).map((block) => requestAt('V00001L9', block, fileBytes, 0));
  });
  const costs = (policy: Policy) => sets.map((set) => costOf(policy, set));
  const [fifo, sort, ours] = [costs('FIFO'), costs('sort'), costs('ours')];
  const total = (values: readonly { readonly locate: readonly number[] }[]): number[] => values.map(({ locate }) => locate.reduce((sum, value) => sum + value, 0));
  const [totalFifo, totalSort, totalOurs] = [total(fifo), total(sort), total(ours)];
  const cells = [fifo, sort, ours].map((values) => {
    const locate = values.flatMap((each) => each.locate);
    const wait = values.flatMap((each) => each.wait);
    return [mean(locate), quantile(locate, 0.99), mean(wait), quantile(wait, 0.99)].map(text).join('');
  });
  const worse = totalOurs.filter((seconds, i) => seconds > totalSort[i]! + 1e-6).length;
  console.log(`${String(count).padEnd(9)}${cells.map((cell) => cell.padEnd(30)).join('')}${(mean(totalOurs) / mean(totalFifo)).toFixed(2).padStart(9)}  ${worse} of ${rounds}`);
}

function arrivals(title: string, reality: number): void {
  console.log(`${title}: requests an hour, mean wait, p99 wait, mounts, median error of the ETA, p90, foretold`);
  for (const perHour of [30, 100, 200, 300]) {
    const random = seededRandom(perHour);
    const library = new SimulatedLibrary({ drives: 2, reality: () => reality });
    const served = library.run(stream(perHour, Math.min(2000, perHour * 8), random));
    const waits = served.map(({ wait }) => wait);
    const errors = served.flatMap(errorOf);
    console.log(
      `${String(perHour).padStart(6)}${text(mean(waits))}${text(quantile(waits, 0.99))}${String(library.mounts).padStart(7)}` +
        `${(100 * quantile(errors, 0.5)).toFixed(0).padStart(7)} %${(100 * quantile(errors, 0.9)).toFixed(0).padStart(6)} %   ${errors.length} of ${served.length}`,
    );
  }
  console.log();
}

/** Of the true wait. */
function errorOf({ wait, foretold }: Served): number[] {
  return foretold === null ? [] : [Math.abs(foretold - wait) / wait];
}

/** Poisson arrivals, over six tapes of which some are wanted more than others. */
function stream(perHour: number, count: number, random: () => number): SimulatedRequest[] {
  const requests: SimulatedRequest[] = [];
  let at = 0;
  for (const block of scatter('uniform', count, random)) {
    at += (-Math.log(1 - random()) * 3_600_000) / perHour;
    requests.push(requestAt(`V0000${Math.floor(6 * random() * random())}L9`, block, fileBytes, at, `u${Math.floor(4 * random())}`));
  }
  return requests;
}
