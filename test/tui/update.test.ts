import test from 'ava';
import { render } from '../../src/tui/views/frame.ts';
import type { Mirror } from '../../src/tui/mirror.ts';
import { type Effect, firstUi, type Ui } from '../../src/tui/model.ts';
import { selected } from '../../src/tui/select.ts';
import { plainText } from '../../src/tui/text.ts';
import { update } from '../../src/tui/update.ts';
import { mirrorOf, moment } from '../fixtures/mirrors.ts';

const size = { columns: 120, rows: 30 };

/** A person at the screen: keys one after the other, what they did, and what one sees. */
class Person {
  ui: Ui = firstUi;
  readonly effects: Effect[] = [];
  readonly mirror: Mirror;

  constructor(mirror: Mirror = mirrorOf()) {
    this.mirror = mirror;
  }

  press(...keys: string[]): this {
    for (const key of keys) this.#take({ kind: 'key', key });
    return this;
  }

  type(text: string): this {
    return this.press(...text);
  }

  click(x: number, y: number): this {
    this.#take({ kind: 'click', x, y });
    return this;
  }

  wheel(by: number): this {
    this.#take({ kind: 'wheel', by });
    return this;
  }

  get row(): string | null {
    const selection = selected(this.ui, this.mirror, moment);
    return selection === null || selection.index < 0 ? null : selection.listing.keyOf(selection.rows[selection.index]);
  }

  get text(): string {
    return render(this.ui, this.mirror, moment, size).map(plainText).join('\n');
  }

  get calls(): unknown[] {
    return this.effects.flatMap((effect) => (effect.kind === 'call' ? effect.calls.map(({ method, params }) => [method, params]) : []));
  }

  #take(input: Parameters<typeof update>[1]): void {
    const { ui, effects } = update(this.ui, input, { mirror: this.mirror, moment, size });
    this.ui = ui;
    this.effects.push(...effects);
  }
}

test('letters, numbers and tab go to screens', (t) => {
  t.is(new Person().press('u').ui.screen, 'requests');
  t.is(new Person().press('9').ui.screen, 'events');
  t.is(new Person().press('tab', 'tab').ui.screen, 'requests');
  t.is(new Person().press('e', 'tab').ui.screen, 'overview');
});

test('moving stops at both ends, and the selected request stays selected when the order changes', (t) => {
  const person = new Person().press('u');
  const first = person.row;
  t.is(person.press('up').row, first);
  const last = person.press('end').row;
  t.is(person.press('pagedown', 'down').row, last);
  t.is(person.press('home').row, first);
  const third = person.press('down', 'down').row;
  t.is(person.press('s', 'i').row, third);
});

test('when the selected request ends, the one in its place is selected', (t) => {
  const mirror = mirrorOf();
  const person = new Person(mirror).press('u', 'down', 'down');
  const gone = person.row;
  const next = new Person(mirror).press('u', 'down', 'down', 'down').row;
  mirror.take({ topic: 'queue', set: [], gone: [gone] });
  t.is(person.row, next);
});

test('a filter is typed in the open, narrows at once, and ends with Esc', (t) => {
  const person = new Person().press('u', '/').type('v00001 cat');
  t.regex(person.text, / \/ v00001 cat_/);
  t.regex(person.press('enter').text, /of 50 with 'v00001 cat'/);
  t.is(person.press('/', 'backspace', 'C-u').ui.lists.requests.filter, '');
  t.is(person.type('x').press('escape').ui.lists.requests.filter, '');
});

test('keys that are typed into a filter are no commands', (t) => t.deepEqual(new Person().press('u', '/').type('qDc').effects, []));

test('sorting goes through the columns and back to the natural order', (t) => {
  const person = new Person().press('v');
  const natural = person.ui.lists.volumes;
  person.press('s');
  t.is(person.ui.lists.volumes.sort, 0);
  for (let i = 0; i < 9; i += 1) person.press('s');
  t.deepEqual({ ...person.ui.lists.volumes, cursor: null }, { ...natural, cursor: null });
});

test('requests are grouped by tape, user and program, and a group opens', (t) => {
  const person = new Person().press('u', 't');
  t.regex(person.text, /TAPE +FILES/);
  t.regex(person.press('t').text, /USER +FILES/);
  t.regex(person.press('t').text, /PROGRAM +FILES/);
  const program = person.row;
  t.regex(person.press('enter').text, new RegExp(`Requests of program ${program} 1/`));
  t.regex(person.press('escape').text, /Requests 1\/50/);
});

test('a tape opens the requests for it', (t) => {
  const person = new Person().press('m');
  const tape = person.row ?? '';
  person.press('enter');
  t.is(person.ui.screen, 'requests');
  const rows = selected(person.ui, person.mirror, moment)?.rows as { readonly volume: string }[];
  t.true(rows.length > 0 && rows.every(({ volume }) => volume === tape));
});

test('Enter shows details, Esc takes them away', (t) => {
  const person = new Person().press('u', 'enter');
  t.regex(person.text, /on tape +V0000/);
  t.notRegex(person.press('escape').text, /on tape/);
});

test('a request is cancelled with the errno of choice, and only after a yes', (t) => {
  const person = new Person().press('u', 'c');
  const id = person.row;
  t.regex(person.text, new RegExp(`Cancel ${id}\\?`));
  person.press('i');
  t.regex(person.text, new RegExp(`Cancel ${id} with EIO\\?`));
  t.deepEqual(person.calls, []);
  person.press('enter');
  t.deepEqual(person.calls, [], 'the answer that Enter takes is no');
  person.press('c', 'down', 'enter', 'y');
  t.deepEqual(person.calls, [['cancel', { id, errno: 'EBUSY' }]]);
  t.is(person.ui.dialog, null);
});

test('Esc leaves every question without doing anything', (t) => {
  t.deepEqual(new Person().press('u', 'c', 'escape').effects, []);
  t.deepEqual(new Person().press('u', 'c', 'i', 'escape').effects, []);
  t.deepEqual(new Person().press('d', 'D', 'x', 'escape').effects, []);
});

test('a group is cancelled as a whole', (t) => {
  const person = new Person().press('m', 'c', 'a', 'y');
  const group = selected(new Person(person.mirror).press('m').ui, person.mirror, moment)?.rows[0] as { readonly by: string; readonly name: string };
  t.is(group.by, 'tape');
  t.deepEqual(person.calls, [['cancel', { volume: group.name, errno: 'EAGAIN' }]]);
});

test('a running job is stopped after a yes', (t) => t.deepEqual(new Person().press('j', 'c', 'y').calls, [['cancel', { id: 'j7' }]]));

test('a drive goes down with a reason only, and up after a yes', (t) => {
  t.deepEqual(new Person().press('d', 'D', 'enter').calls, []);
  t.deepEqual(new Person().press('d', 'D').type('ticket 4711').press('enter').calls, [['setDrive', { name: 'drive0', admin: 'down', reason: 'ticket 4711' }]]);
  t.deepEqual(new Person().press('d', 'down', 'D', 'y').calls, [['setDrive', { name: 'drive1', admin: 'up', reason: null }]]);
});

test('who may not operate cannot take drives down, and is told why', (t) => {
  const person = new Person(mirrorOf({ operator: false })).press('d', 'D');
  t.is(person.ui.dialog, null);
  t.regex(person.text, /only root and members of the group hsm/);
});

test('the help shows every key and closes with any', (t) => {
  const person = new Person().press('?');
  t.regex(person.text, /cancel: the readers get an errno/);
  t.false(person.press('q').ui.help);
  t.deepEqual(person.effects, []);
});

test('q and ^C leave, S writes, ^L draws anew, ^Z suspends', (t) => {
  t.deepEqual(new Person().press('q').effects, [{ kind: 'quit' }]);
  t.deepEqual(new Person().press('u', 'c', 'C-c').effects, [{ kind: 'quit' }]);
  t.deepEqual(new Person().press('S', 'C-l', 'C-z').effects, [{ kind: 'snapshot' }, { kind: 'redraw' }, { kind: 'suspend' }]);
});

test('the mouse takes tabs, rows and headings', (t) => {
  const person = new Person().click(25, 1);
  t.is(person.ui.screen, 'requests');
  person.click(4, 6);
  const fourth = person.row;
  t.is(fourth, new Person(person.mirror).press('u', 'down', 'down', 'down').row);
  t.false(person.ui.detail);
  t.true(person.click(4, 6).ui.detail);
  person.click(2, 2);
  t.deepEqual([person.ui.lists.requests.sort, person.ui.lists.requests.down], [0, false]);
  person.click(2, 2);
  t.deepEqual([person.ui.lists.requests.sort, person.ui.lists.requests.down], [0, true]);
  t.is(person.row, fourth);
});

test('the wheel moves, a click outside of rows does nothing', (t) => {
  const person = new Person().press('j').click(3, 20).click(3, 29);
  t.is(person.row, 'j7');
  t.is(new Person().press('u').wheel(3).row, new Person().press('u', 'down', 'down', 'down').row);
});

test('a choice is taken with the mouse', (t) => {
  const person = new Person().press('u', 'c');
  const lines = person.text.split('\n');
  const y = lines.findIndex((line) => line.includes('ENOSPC'));
  person.click((lines[y] ?? '').indexOf('ENOSPC'), y);
  t.regex(person.text, /with ENOSPC\?/);
});

test('a priority is a number, for a request or a whole tape', (t) => {
  const person = new Person().press('u', 'p', 'C-u').type('2000').press('enter');
  t.regex(person.text, /'2000' is no priority/);
  person.press('p', 'C-u').type('200').press('enter');
  t.deepEqual(person.calls, [['setPriority', { ids: [person.row], priority: 200 }]]);
  const tape = new Person().press('m', 'p').type('7').press('enter');
  t.true(((tape.calls[0] as [string, { ids: string[] }])[1].ids.length ?? 0) > 1);
});

test('the tape of a request is held with a reason, and let go after a yes', (t) => {
  const person = new Person().press('u', 'h').type('squeaks').press('enter');
  const volume = (selected(person.ui, person.mirror, moment)?.rows[0] as { readonly volume: string }).volume;
  t.deepEqual(person.calls, [['pause', { kind: 'volume', name: volume, reason: 'squeaks' }]]);
  const mirror = mirrorOf();
  mirror.status = { ...mirror.status!, pauses: [{ kind: 'volume', name: volume, reason: 'squeaks', since: '2026-03-01T12:00:00.000Z' }] };
  const later = new Person(mirror).press('u', 'h');
  t.regex(later.text, /Let recalls from .* go on\?/);
  t.regex(later.text, /squeaks/);
  t.deepEqual(later.press('y').calls, [['resume', { kind: 'volume', name: volume }]]);
  t.regex(new Person(mirror).text, /PAUSED +V0000.L9 is held/);
});

test('everything, a tape, a drive or a user is paused', (t) => {
  t.deepEqual(new Person().press('P', 'a', 'enter').calls, [['pause', { kind: 'all', reason: null }]]);
  t.deepEqual(new Person().press('d', 'P', '1', 'enter').calls, [['pause', { kind: 'drive', name: 'drive0', reason: null }]]);
  const person = new Person().press('b');
  const { waiter } = selected(person.ui, person.mirror, moment)?.rows[0] as { readonly waiter: { readonly uid: number } };
  t.deepEqual(person.press('P', '2', 'enter').calls, [['pause', { kind: 'user', name: String(waiter.uid), reason: null }]]);
});

test('what is paused can be let go from anywhere', (t) => {
  const mirror = mirrorOf();
  mirror.status = { ...mirror.status!, pauses: [{ kind: 'user', name: '1007', reason: null, since: '2026-03-01T12:00:00.000Z' }] };
  t.deepEqual(new Person(mirror).press('P', '1', 'y').calls, [['resume', { kind: 'user', name: '1007' }]]);
});

test('a failed recall is tried again', (t) => t.deepEqual(new Person().press('f', 'r').calls, [['retry', { ids: ['r0'] }]]));

test('who may not operate cannot steer', (t) => {
  for (const keys of [['u', 'p'], ['u', 'h'], ['P'], ['f', 'r']]) t.is(new Person(mirrorOf({ operator: false })).press(...keys).ui.dialog, null);
});

test('a storm is the first thing that one sees, and two keys stop it', (t) => {
  const mirror = mirrorOf();
  mirror.status = { ...mirror.status!, recalls: { ...mirror.status!.recalls, storms: [{ uid: 1003, exe: '/usr/bin/find', requests: 54_321, since: moment.now - 60_000 }] } };
  const person = new Person(mirror);
  t.regex(person.text.split('\n')[2] ?? '', /STORM +user1003 asks for 54,321 files with find, since 1m 00s: P pauses that user/);
  t.deepEqual(person.press('P', '1', 'enter').calls, [['pause', { kind: 'user', name: '1003', reason: null }]]);
});
