import test from 'ava';
import { Scheduler, type SchedulerSettings } from '../../../src/recall/scheduler/scheduler.ts';
import type { Queued } from '../../../src/recall/scheduler/volume-queue.ts';

/** A scheduler whose clock stands still unless it is moved. */
class Desk {
  now = 1_000_000;
  loaded: string[] = [];
  drives = 1;
  readonly scheduler: Scheduler<Queued & { priority: number }>;
  #id = 0;

  constructor(settings: Partial<SchedulerSettings> = {}) {
    this.scheduler = new Scheduler({ batchWindowMs: 0, turnMs: 300_000, share: 64, mountSeconds: 100, ...settings }, () => this.now);
  }

  ask(volume: string, priority = 100, owner = 'u1'): Queued & { priority: number } {
    const id = (this.#id += 1);
    const request = { id, createdAt: this.now, priority, owner, waiters: { size: priority >= 100 ? 1 : 0 }, copies: [{ startBlock: id, offset: 0, length: 1 }] };
    this.scheduler.add(volume, request, this.loaded.includes(volume));
    return request;
  }

  start(): readonly string[] {
    return this.decide().start;
  }

  decide() {
    return this.scheduler.decide({ drives: this.drives, loaded: this.loaded });
  }

  load(volume: string, drive = 'drive0'): void {
    this.scheduler.granted(volume, drive, true);
    this.loaded = [volume];
    this.scheduler.loaded(volume, 0, null);
  }

  mustLeave(volume: string): boolean {
    return this.scheduler.mustLeave(volume, this.loaded);
  }

  /** All that is queued on it is read. */
  finish(volume: string): void {
    const queue = this.scheduler.entry(volume)?.queue;
    while ((queue?.size ?? 0) > 0) queue?.take(1000);
    this.scheduler.ended(volume);
  }
}

test('the first request waits for company unless its volume is in a drive', (t) => {
  const desk = new Desk({ batchWindowMs: 20 });
  desk.drives = 2;
  desk.loaded = ['B'];
  desk.ask('A');
  desk.ask('B');
  t.deepEqual(desk.decide(), { start: ['B'], withdraw: [], wakeAt: desk.now + 20 });
  desk.now += 20;
  t.deepEqual(desk.start(), ['A']);
  t.deepEqual(desk.decide(), { start: [], withdraw: [], wakeAt: null });
});

test('what somebody waits for goes before what only jobs want, however old that is', (t) => {
  const desk = new Desk();
  desk.ask('J', 50);
  desk.now += 3_600_000;
  desk.ask('I', 100);
  t.deepEqual(desk.start(), ['I']);
});

test('a volume in a drive goes first until another has waited longer than its mount takes', (t) => {
  for (const [headStart, first] of [[90_000, 'L'], [110_000, 'A']] as const) {
    const desk = new Desk();
    desk.loaded = ['L'];
    desk.ask('A');
    desk.now += headStart;
    desk.ask('L');
    t.deepEqual(desk.start(), [first]);
  }
});

test('of two volumes of an age the one that more wait for goes first', (t) => {
  const desk = new Desk();
  desk.ask('A');
  for (let i = 0; i < 5; i += 1) desk.ask('B');
  t.deepEqual(desk.start(), ['B']);
});

test('no more volumes are read than there are drives for', (t) => {
  const desk = new Desk();
  desk.drives = 2;
  for (const volume of ['A', 'B', 'C']) desk.ask(volume);
  t.is(desk.start().length, 2);
  t.deepEqual(desk.start(), []);
});

test('a long batch gives its drive to another volume when its turn is over, and has it back later', (t) => {
  const desk = new Desk();
  desk.ask('A');
  desk.start();
  desk.load('A');
  for (let i = 0; i < 1000; i += 1) desk.ask('A');
  desk.ask('B');
  desk.now += 299_000;
  t.false(desk.mustLeave('A'));
  desk.now += 1000;
  t.true(desk.mustLeave('A'));
  desk.scheduler.ended('A');
  t.deepEqual(desk.start(), ['B']);
  desk.load('B');
  desk.now += 10_000;
  desk.finish('B');
  t.deepEqual(desk.start(), ['A']);
});

test('a turn does not end while nobody else wants the drive', (t) => {
  const desk = new Desk();
  desk.ask('A');
  desk.ask('A');
  desk.start();
  desk.load('A');
  desk.now += 3_600_000;
  t.false(desk.mustLeave('A'));
});

test('a job gives its drive back as soon as somebody waits for another volume', (t) => {
  const desk = new Desk();
  desk.ask('J', 50);
  desk.start();
  desk.load('J');
  t.false(desk.mustLeave('J'));
  desk.ask('I', 100);
  t.true(desk.mustLeave('J'));
});

test('a volume that waits for a drive makes way for a more urgent one', (t) => {
  const desk = new Desk();
  desk.ask('J', 50);
  t.deepEqual(desk.start(), ['J']);
  desk.ask('I', 100);
  t.deepEqual(desk.decide(), { start: [], withdraw: ['J'], wakeAt: null });
  desk.scheduler.ended('J');
  t.deepEqual(desk.start(), ['I']);
});

test('a volume that waits for a drive asks anew when what it waits for became urgent', (t) => {
  const desk = new Desk();
  const request = desk.ask('A', 50);
  desk.start();
  request.priority = 100;
  desk.scheduler.moved(request);
  t.deepEqual(desk.decide().withdraw, ['A']);
});

test('a volume whose last request was cancelled asks for no drive any more', (t) => {
  const desk = new Desk();
  const request = desk.ask('A');
  desk.start();
  desk.scheduler.delete(request);
  t.deepEqual(desk.decide().withdraw, ['A']);
  desk.scheduler.ended('A');
  t.deepEqual(desk.decide(), { start: [], withdraw: [], wakeAt: null });
  t.deepEqual([...desk.scheduler.entries], []);
});

test('a held volume waits, and others go on', (t) => {
  const desk = new Desk();
  desk.scheduler.pauses.set({ kind: 'volume', name: 'A' }, 'cleaning', desk.now);
  desk.ask('A');
  desk.ask('B');
  t.deepEqual(desk.start(), ['B']);
  t.is(desk.scheduler.pauses.ofVolume('A'), 'A is held: cleaning');
  desk.load('B');
  desk.finish('B');
  desk.scheduler.pauses.clear({ kind: 'volume', name: 'A' });
  t.deepEqual(desk.start(), ['A']);
});

test('a pause of everything, of the volume or of its drive ends its turn', (t) => {
  for (const pause of [{ kind: 'all' }, { kind: 'volume', name: 'A' }, { kind: 'drive', name: 'drive0' }] as const) {
    const desk = new Desk();
    desk.ask('A');
    desk.ask('A');
    desk.start();
    desk.load('A');
    t.false(desk.mustLeave('A'));
    desk.scheduler.pauses.set(pause, null, desk.now);
    t.true(desk.mustLeave('A'), pause.kind);
  }
});

test('one user with very many requests keeps no other waiting for more than a share of them', (t) => {
  const desk = new Desk({ share: 64 });
  for (let i = 0; i < 1000; i += 1) desk.ask('A', 100, 'u1');
  desk.start();
  desk.load('A');
  const queue = desk.scheduler.entry('A')!.queue;
  for (let i = 0; i < 10; i += 1) queue.take(1);
  const single = desk.ask('A', 100, 'u2');
  const rank = queue.inOrder().indexOf(single);
  t.true(rank >= 0 && rank <= 64, String(rank));
  let served = 0;
  while (!queue.take(1).includes(single)) {
    served += 1;
    // New ones of the first user do not push it back.
    desk.ask('A', 100, 'u1');
  }
  t.true(served <= 64, String(served));
  t.is(queue.size, 990);
});

test('nothing is lost and nothing served twice when several users, priorities and cancels mix', (t) => {
  const desk = new Desk({ share: 3 });
  const served: Queued[] = [];
  const asked: Queued[] = [];
  const gone: Queued[] = [];
  const queueOf = () => desk.scheduler.entry('A')?.queue;
  for (let i = 0; i < 400; i += 1) {
    asked.push(desk.ask('A', [50, 100, 70][i % 3], `u${(i * 7) % 5}`));
    if (i % 4 === 0) served.push(...(queueOf()?.take(2) ?? []));
    const drop = i % 9 === 0 ? queueOf()?.inOrder().at(-1) : undefined;
    if (drop !== undefined) {
      desk.scheduler.delete(drop);
      gone.push(drop);
    }
  }
  while ((queueOf()?.size ?? 0) > 0) served.push(...(queueOf()?.take(2) ?? []));
  const ids = [...served, ...gone].map(({ id }) => id).sort((a, b) => a - b);
  t.deepEqual(ids, asked.map(({ id }) => id));
});
