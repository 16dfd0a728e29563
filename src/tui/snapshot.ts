/** `S`: what is on the screen, as a text file; of a list all of its rows. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Moment } from './listing.ts';
import type { Mirror } from './mirror.ts';
import type { Ui } from './model.ts';
import { selected } from './select.ts';
import { plainText } from './text.ts';
import { listLines } from './views/list.ts';
import { overviewLines } from './views/overview.ts';

const width = 200;

/** Lines without their trailing spaces. */
export function snapshotLines(ui: Ui, mirror: Mirror, moment: Moment): string[] {
  const selection = selected(ui, mirror, moment);
  const lines =
    selection === null || ui.screen === 'overview'
      ? overviewLines(mirror, moment, width, 1000)
      : listLines({ ...selection, index: -1 }, ui.lists[ui.screen], moment, width, Math.max(1, selection.rows.length));
  return [`hsm ${ui.screen} ${new Date(moment.now).toISOString()}`, ...lines.map((line) => plainText(line).trimEnd())];
}

/** Writes a new file of the working directory, which only its owner may read; its path. */
export function writeSnapshot(ui: Ui, mirror: Mirror, moment: Moment): string {
  const time = new Date(moment.now).toISOString().replace(/[:.]/g, '-');
  const path = resolve(`hsm-${ui.screen}-${time}.txt`);
  writeFileSync(path, `${snapshotLines(ui, mirror, moment).join('\n')}\n`, { flag: 'wx', mode: 0o600 });
  return path;
}
