/** The real program in a real terminal, next to what the socket says at that moment. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { withClient } from '../../src/daemon/client.ts';
import type { DriveLine, QueueLine } from '../../src/daemon/protocol.ts';
import { shownPath } from '../../src/tui/listing.ts';
import { inQueueOrder } from '../../src/tui/listings/requests.ts';
import type { Request } from '../../src/tui/mirror.ts';
import { fit } from '../../src/tui/text.ts';
import { busyDaemonPath } from '../fixtures/busy-daemon.ts';
import { temporaryFolder, writeConfig } from '../fixtures/fake-daemon.ts';
import { openTmux, type Tmux, type TmuxOptions } from '../fixtures/tmux.ts';
import { until } from '../fixtures/until.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Desk {
  readonly terminal: Tmux;
  readonly rows: (method: 'queue' | 'drives') => Promise<unknown[]>;
  readonly startDaemon: () => Promise<void>;
  readonly stopDaemon: () => Promise<void>;
}

/** `hsm tui WORDS` in a terminal, and a daemon with 60 requests that stand still. */
async function desk(t: ExecutionContext, words: readonly string[], options: TmuxOptions): Promise<Desk> {
  const folder = temporaryFolder(t);
  const config = writeConfig(folder);
  let stop: (() => Promise<void>) | null = null;
  const startDaemon = async (): Promise<void> => {
    const daemon = execa(process.execPath, ['--disable-warning=ExperimentalWarning', busyDaemonPath, folder, '60', '0'], { reject: false, timeout: 300_000, buffer: false });
    let ready = false;
    daemon.stdout.on('data', () => (ready = true));
    await until(() => ready);
    stop = async () => {
      daemon.stdin.end();
      await daemon;
    };
  };
  const stopDaemon = async (): Promise<void> => {
    await stop?.();
    stop = null;
  };
  await startDaemon();
  t.teardown(stopDaemon);
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', main, '--config', config, 'tui', ...words].map((word) => `'${word}'`).join(' ');
  const terminal = await openTmux(t, [`${command}; echo left with $?; sleep 300`], options);
  const rows = (method: 'queue' | 'drives'): Promise<unknown[]> => withClient(join(folder, 'hsm.sock'), (client) => client.rows(method));
  return { terminal, rows, startDaemon, stopDaemon };
}

const queueOf = async ({ rows }: Desk): Promise<Request[]> => inQueueOrder(((await rows('queue')) as (QueueLine & Request)[]).map((row) => ({ ...row, askedAt: Date.parse(String(row.askedAt)) })));

/** The list on the screen has the requests of the queue, line by line, all of what they are. */
async function showsQueue(t: ExecutionContext, at: Desk): Promise<void> {
  const queue = await queueOf(at);
  const lines = await at.terminal.shows((all) => all[3]?.slice(1).startsWith(`${queue[0]?.id} `) === true);
  const list = lines.slice(3).filter((line) => /^[> ]r\d/.test(line));
  t.true(list.length > 10);
  list.forEach((line, i) => {
    const request = queue[i];
    if (request === undefined) return t.fail(`nobody asked for ${line}`);
    const words = line.slice(1).split(/ +/);
    const end = words.slice(-4);
    t.is(words[0], request.id);
    t.deepEqual([end[0], end[1]], [request.volume, request.position === null ? '-' : String(request.position)], line);
    t.is(end[3], String(request.priority), line);
    t.true(line.includes(` ${request.state} `), line);
    t.true(line.includes(fit(shownPath(request), 30, { keepEnd: true }).trim().slice(2)), `${line} has the path ${shownPath(request)}`);
    t.true(line.includes(request.waiters[0] === undefined ? ' job ' : `[${request.waiters[0].pid}] `), line);
  });
}

test('what the screen shows is what the socket says, before and after a restart of the daemon', async (t) => {
  const at = await desk(t, ['--screen', 'requests'], { columns: 150, rows: 40 });
  await showsQueue(t, at);
  await at.stopDaemon();
  const away = await at.terminal.shows(/the daemon is away since/);
  t.true(away.some((line) => /^>r1 /.test(line)), 'what was known stays');
  await at.startDaemon();
  await at.terminal.shows((lines) => lines.every((line) => !line.includes('away')));
  await showsQueue(t, at);
});

test('keys cancel a request and take a drive down, and the socket says so', async (t) => {
  const at = await desk(t, ['--screen', 'requests'], { columns: 120, rows: 30 });
  const [first, second] = await queueOf(at);
  await at.terminal.shows(new RegExp(`^>${first?.id} `));
  await at.terminal.keys('Down', 'c');
  await at.terminal.shows(new RegExp(`Cancel ${second?.id}\\?`));
  await at.terminal.keys('i');
  await at.terminal.shows(/with EIO\?/);
  await at.terminal.keys('y');
  await at.terminal.shows(new RegExp(`cancelled ${second?.id} with EIO`));
  t.false((await queueOf(at)).some(({ id }) => id === second?.id));
  await at.terminal.shows((lines) => lines.every((line) => !line.startsWith(`>${second?.id} `)));
  await at.terminal.keys('e');
  await at.terminal.shows(new RegExp(`cancel +root .*id ${second?.id}, errno EIO`));
  await at.terminal.keys('d', 'D');
  await at.terminal.shows(/Why is drive0 taken down\?/);
  await at.terminal.send('squeaks, ticket 4711');
  await at.terminal.keys('Enter');
  await at.terminal.shows(/^>drive0 +down .*squeaks, ticket 4711/);
  t.deepEqual(((await at.rows('drives')) as DriveLine[])[0], { name: 'drive0', state: 'busy', admin: 'down', reason: 'squeaks, ticket 4711', barcode: 'V00001L9', purpose: 'read' } as DriveLine);
});

test('a filter, groups and details', async (t) => {
  const { terminal } = await desk(t, [], { columns: 120, rows: 30 });
  await terminal.shows(/guarded, 1,234,567 stubs/);
  await terminal.keys('u', '/');
  await terminal.send('zalgo');
  await terminal.keys('Enter');
  const filtered = await terminal.shows(/of 60 with 'zalgo'/);
  t.true(filtered.filter((line) => /^[> ]r\d/.test(line)).every((line) => line.includes('▯zalgo')));
  await terminal.keys('Escape');
  await terminal.shows(/Requests \d+\/60 /);
  await terminal.keys('t');
  await terminal.shows(/^ TAPE +FILES/);
  await terminal.keys('Enter');
  await terminal.shows(/Requests of tape V0000\dL9 1\//);
  await terminal.keys('Enter');
  await terminal.shows(/^ on tape +V0000\dL9/);
});

test('the mouse takes tabs, rows and headings', async (t) => {
  const { terminal } = await desk(t, [], { columns: 120, rows: 30 });
  const [, tabs = ''] = await terminal.shows(/u Requests/);
  await terminal.click(tabs.indexOf('Requests'), 1);
  const list = await terminal.shows(/Requests 1\/60/);
  await terminal.click(5, 6);
  await terminal.shows((lines) => lines[6]?.startsWith('>') === true);
  t.is((await terminal.lines())[6]?.slice(1, 6), list[6]?.slice(1, 6));
  await terminal.click((list[2] ?? '').indexOf('VOLUME') + 1, 2);
  await terminal.shows(/VOLUME▲/);
  await terminal.send('\x1b[<65;5;8M');
  await terminal.shows(/Requests \d+\/60/);
});

test('every size is filled, also after a change', async (t) => {
  const { terminal } = await desk(t, ['--screen', 'requests'], { columns: 80, rows: 24 });
  await terminal.shows(/Requests 1\/60/);
  for (const [columns, rows] of [[60, 20], [300, 80], [39, 9], [100, 30]] as const) {
    await terminal.resize(columns, rows);
    const fills = (all: readonly string[]): boolean => /^ hsm {2}Requests 1\/60 /.test(all[0] ?? '') && (all[0]?.length ?? 0) > columns - 4 && /^>r1 /.test(all[3] ?? '') && /\? help/.test(all[rows - 1] ?? '');
    t.true((await terminal.shows(columns < 40 ? /needs 40 x 10/ : fills)).length >= rows);
  }
});

test('without colours none are sent, with them they are', async (t) => {
  const plain = await desk(t, [], { columns: 80, rows: 24, env: { NO_COLOR: '1' } });
  await plain.terminal.shows(/guarded/);
  const colours = /\x1b\[[\d;]*(3[0-7]|38;5;\d+|9[0-7])m/;
  t.notRegex(await plain.terminal.coloured(), colours);
  for (const each of ['16', '256']) {
    const { terminal } = await desk(t, ['--colours', each], { columns: 80, rows: 24 });
    await terminal.shows(/guarded/);
    const text = await terminal.coloured();
    t.regex(text, colours);
    t.is(/38;5;(2\d\d|1\d\d)/.test(text), each === '256');
  }
});

test('leaving gives the terminal back as it was', async (t) => {
  const { terminal } = await desk(t, [], { columns: 80, rows: 24 });
  await terminal.shows(/guarded/);
  t.deepEqual([await terminal.format('alternate_on'), await terminal.format('cursor_flag'), await terminal.format('mouse_any_flag')], ['1', '0', '1']);
  await terminal.keys('q');
  await terminal.shows(/^left with 0$/);
  t.deepEqual([await terminal.format('alternate_on'), await terminal.format('cursor_flag'), await terminal.format('mouse_any_flag'), await terminal.format('wrap_flag')], ['0', '1', '0', '1']);
});
