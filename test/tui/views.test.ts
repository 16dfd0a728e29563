import test, { type ExecutionContext } from 'ava';
import { listLines } from '../../src/tui/views/list.ts';
import { render } from '../../src/tui/views/frame.ts';
import { sparkline } from '../../src/tui/views/overview.ts';
import { LiveMirror, type Mirror } from '../../src/tui/mirror.ts';
import { ask, askText, firstUi, type Size, type Ui } from '../../src/tui/model.ts';
import { screens } from '../../src/tui/screens.ts';
import { selected } from '../../src/tui/select.ts';
import { plainText, widthOf } from '../../src/tui/text.ts';
import { mirrorOf, moment, now } from '../fixtures/mirrors.ts';

const sizes: Size[] = [];
for (const columns of [1, 20, 39, 40, 59, 60, 61, 74, 80, 92, 100, 120, 132, 160, 200, 300]) for (const rows of [1, 5, 9, 10, 11, 20, 24, 43, 80]) sizes.push({ columns, rows });

/** Every line exactly as wide as the screen, and as many as it has; nothing in them that a terminal obeys. */
function fills(t: ExecutionContext, ui: Ui, mirror: Mirror, size: Size): void {
  const lines = render(ui, mirror, moment, size).map(plainText);
  t.is(lines.length, size.rows, `${ui.screen} at ${size.columns} x ${size.rows}`);
  for (const line of lines) {
    if (widthOf(line) !== size.columns) t.fail(`${ui.screen} at ${size.columns} x ${size.rows}: ${JSON.stringify(line)} is ${widthOf(line)} wide`);
    if (/[\x00-\x1f\x7f-\x9f\u202a-\u202e]/.test(line)) t.fail(`${ui.screen}: ${JSON.stringify(line)}`);
  }
}

const choice = ask('Sure?', ['/data/\x1b[2J\u202e一', 'x'.repeat(300)], [{ key: 'y', label: 'yes', value: true }], () => ({}));

for (const { id } of screens) {
  test(`screen ${id} fills terminals of all sizes, whatever the names are`, (t) => {
    const mirror = mirrorOf();
    const ui: Ui = { ...firstUi, screen: id };
    for (const size of sizes) {
      for (const each of [ui, { ...ui, detail: true }, { ...ui, help: true }, { ...ui, dialog: choice }]) fills(t, each, mirror, size);
    }
  });
  test(`screen ${id} is whole without a daemon`, (t) => {
    const mirror = new LiveMirror();
    mirror.lost('no daemon answers');
    for (const size of sizes) fills(t, { ...firstUi, screen: id, detail: true }, mirror, size);
  });
}

test('a question for text shows what was typed, its end when it is long', (t) => {
  const dialog = askText('Why?', [], 'x'.repeat(200) + 'end', () => ({}));
  for (const size of sizes) fills(t, { ...firstUi, dialog }, mirrorOf(), size);
  const text = render({ ...firstUi, dialog }, mirrorOf(), moment, { columns: 60, rows: 20 }).map(plainText).join('\n');
  t.regex(text, /> …x+end_/);
});

const shown = (ui: Partial<Ui>, mirror: Mirror = mirrorOf(), size: Size = { columns: 160, rows: 40 }): string =>
  render({ ...firstUi, ...ui }, mirror, moment, size)
    .map((line) => plainText(line).trimEnd())
    .join('\n');

test('the overview tells of daemon, filesystems, recalls, drives, tapes and who waits', (t) => {
  const text = shown({});
  for (const part of ['hsm 0.1.0, pid 1, up 1h 00m, keeper 2', '/data (xfs) guarded, 12,345 stubs', 'nearly full', '50 queued, 3 active, 1 failed, 40 processes blocked', 'drive0      busy (read)', 'down', 'cleaning', 'V00001L9', 'oldest wait 5s']) t.true(text.includes(part), part);
});

test('lost events of the kernel are the first thing that one sees', (t) => {
  const mirror = mirrorOf();
  mirror.status = { ...mirror.status!, keeper: { pid: 2, overflow: { count: 3, at: '2026-03-01T11:00:00.000Z' } } };
  t.regex(shown({}, mirror).split('\n')[2] ?? '', /INCIDENT .*lost events 3 times/);
});

test('a list says which row of how many is selected', (t) => {
  t.regex(shown({ screen: 'requests' }).split('\n')[0] ?? '', /Requests 1\/50 /);
  t.regex(shown({ screen: 'requests', lists: { ...firstUi.lists, requests: { ...firstUi.lists.requests, filter: 'zalgo' } } }).split('\n')[0] ?? '', /1\/5 of 50 with 'zalgo'/);
});

test('the daemon that went away is told of, and what it said last stays', (t) => {
  const mirror = mirrorOf();
  mirror.lost('the daemon went away');
  const text = shown({ screen: 'requests' }, mirror);
  t.regex(text, /the daemon is away since/);
  t.regex(text, /r1 /);
  mirror.take({ watch: { operator: true, uid: 0, topics: ['queue'] } });
  mirror.take({ at: new Date(now).toISOString() });
  t.notRegex(shown({ screen: 'requests' }, mirror), /away/);
});

test('who may not operate is told so, and gets no hints of what operators do', (t) => {
  const text = shown({ screen: 'drives' }, mirrorOf({ operator: false }));
  t.regex(text, /operators are root and the group hsm/);
  t.notRegex(text, /drive down/);
  t.regex(shown({ screen: 'drives' }), /D drive down\/up/);
});

test('the selected row is marked without colours too, and stays in sight', (t) => {
  const list = { ...firstUi.lists.requests, cursor: 'r40' };
  const lines = render({ ...firstUi, screen: 'requests', lists: { ...firstUi.lists, requests: list } }, mirrorOf(), moment, { columns: 80, rows: 20 });
  t.is(lines.filter((line) => /^>r40 /.test(plainText(line))).length, 1);
});

test('a list without rows says why', (t) => {
  t.regex(shown({ screen: 'requests' }, mirrorOf({ requests: 0 })), /no recall is waiting/);
  t.regex(shown({ screen: 'failed' }), /the tape is torn/);
});

test('the sorted column is marked, columns that do not fit are left out', (t) => {
  const ui: Ui = { ...firstUi, screen: 'requests', lists: { ...firstUi.lists, requests: { ...firstUi.lists.requests, sort: 1, down: true } } };
  const mirror = mirrorOf();
  const heading = (width: number): string => plainText(listLines(selected(ui, mirror, moment)!, ui.lists.requests, moment, width, 5)[0] ?? []);
  t.regex(heading(200), /ID +AGE▼ +WHO +PATH +STATE +DONE +SIZE +VOLUME +POS +ETA +PRI +WHY/);
  t.notRegex(heading(60), /WHO|WHY|DONE/);
});

test('the sparkline has its newest value on the right and its highest bar for the most', (t) => {
  t.is(sparkline([{ files: 0 }, { files: 1 }, { files: 8 }], 5), '   ▂█');
  t.is(sparkline([], 3), '   ');
  t.is(sparkline(Array.from({ length: 9 }, (_, files) => ({ files })), 4).length, 4);
});
