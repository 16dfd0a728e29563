/** The terminal: raw keys and the mouse in, lines out. The only file that knows blessed. */
import openProgram from 'blessed/lib/program.js';
import { keyName, type Press } from './keys.ts';
import type { Size } from './model.ts';
import type { Input } from './update.ts';
import type { Line } from './text.ts';
import { encode, type Theme } from './theme.ts';

export interface Terminal {
  readonly size: Size;
  /** Writes the lines that are not there yet. */
  draw(lines: readonly Line[]): void;
  /** Forgets what is there: the next draw() writes everything. */
  forget(): void;
  /** Gives the terminal to the shell until it says `fg`. */
  suspend(): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

export interface TerminalListeners {
  readonly input: (input: Input) => void;
  readonly resize: () => void;
}

/** Alternate screen; no line wrap, so that nothing can push the screen about; no cursor. */
const enter = '\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[2J';
const leave = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const wheelRows = 3;

interface MouseEvent {
  readonly action: string;
  readonly x: number;
  readonly y: number;
}

export function openTerminal(theme: Theme, listeners: TerminalListeners): Terminal {
  const { stdin, stdout } = process;
  const program = openProgram({ input: stdin, output: stdout, tput: false });
  let shown: string[] = [];
  let closed = false;
  const size = (): Size => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const mouse = (on: boolean): void => program.setMouse({ vt200Mouse: on, sgrMouse: on }, on);
  const close = (): void => {
    if (closed) return;
    closed = true;
    process.off('uncaughtException', close);
    mouse(false);
    stdout.write(leave);
    program.destroy();
  };
  // Whatever ends the process, the shell gets its terminal back.
  process.once('exit', close);
  // What is said of a fault must not go with the alternate screen.
  process.prependOnceListener('uncaughtException', close);
  stdout.write(enter);
  program.on('keypress', (character: string | undefined, press: Press) => {
    const key = keyName(character, press);
    if (key !== null) listeners.input({ kind: 'key', key });
  });
  program.on('mouse', ({ action, x, y }: MouseEvent) => {
    if (action === 'mousedown') listeners.input({ kind: 'click', x, y });
    if (action === 'wheelup' || action === 'wheeldown') listeners.input({ kind: 'wheel', by: action === 'wheelup' ? -wheelRows : wheelRows });
  });
  mouse(true);
  program.on('resize', () => {
    shown = [];
    listeners.resize();
  });
  return {
    get size() {
      return size();
    },
    draw(lines) {
      let out = shown.length === 0 ? '\x1b[2J' : '';
      const next = lines.map((line) => encode(line, theme));
      next.forEach((text, y) => {
        if (text !== shown[y]) out += `\x1b[${y + 1};1H${text}`;
      });
      shown = next;
      if (out !== '') stdout.write(out);
    },
    forget() {
      shown = [];
    },
    suspend() {
      mouse(false);
      stdout.write(leave);
      stdin.setRawMode(false);
      process.once('SIGCONT', () => {
        stdin.setRawMode(true);
        stdout.write(enter);
        mouse(true);
        shown = [];
        listeners.resize();
      });
      process.kill(process.pid, 'SIGTSTP');
    },
    close,
  };
}
