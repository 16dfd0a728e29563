/** `hsm tui`: shows what the daemon tells, and tells it what operators want. Talks to nothing but the control socket. */
import { describe } from '../cli/report.ts';
import { userNames } from '../cli/users.ts';
import { Feed } from './feed.ts';
import type { Moment } from './listing.ts';
import { LiveMirror } from './mirror.ts';
import { type Effect, firstUi, type Ui } from './model.ts';
import type { ScreenId } from './screens.ts';
import { openTerminal, type Terminal } from './screen.ts';
import { writeSnapshot } from './snapshot.ts';
import type { Theme } from './theme.ts';
import { type Input, update } from './update.ts';
import { render } from './views/frame.ts';

export interface TuiOptions {
  readonly socket: string;
  readonly theme: Theme;
  readonly screen: ScreenId;
}

/** Ages grow by the second. */
const tickMs = 1000;
/** Many changes make one drawing. */
const drawMs = 25;

/** Resolves when the person leaves. Fails when the daemon can never be watched. */
export async function runTui(options: TuiOptions): Promise<void> {
  const app = new App(options);
  try {
    await app.ended;
  } finally {
    app.close();
  }
}

class App {
  readonly ended: Promise<void>;
  readonly #mirror = new LiveMirror();
  readonly #userName = userNames();
  readonly #feed: Feed;
  readonly #terminal: Terminal;
  readonly #tick: NodeJS.Timeout;
  readonly #signals = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;
  readonly #quit: () => void;
  #ui: Ui;
  #drawing: NodeJS.Timeout | null = null;

  constructor({ socket, theme, screen }: TuiOptions) {
    this.#ui = { ...firstUi, screen };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#quit = resolve;
    this.#feed = new Feed(socket, this.#mirror, () => this.#draw());
    this.#feed.run().then(resolve, reject);
    this.#terminal = openTerminal(theme, { input: (input) => this.#input(input), resize: () => this.#draw() });
    for (const signal of this.#signals) process.once(signal, this.#quit);
    this.#tick = setInterval(() => this.#draw(), tickMs);
    this.#draw();
  }

  close(): void {
    clearInterval(this.#tick);
    if (this.#drawing !== null) clearTimeout(this.#drawing);
    for (const signal of this.#signals) process.off(signal, this.#quit);
    this.#feed.close();
    this.#terminal.close();
  }

  #moment(): Moment {
    return { now: Date.now(), userName: this.#userName };
  }

  #draw(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = null;
      this.#terminal.draw(render(this.#ui, this.#mirror, this.#moment(), this.#terminal.size));
    }, drawMs);
  }

  #input(input: Input): void {
    const { ui, effects } = update(this.#ui, input, { mirror: this.#mirror, moment: this.#moment(), size: this.#terminal.size });
    this.#ui = ui;
    for (const effect of effects) this.#do(effect);
    this.#draw();
  }

  #do(effect: Effect): void {
    if (effect.kind === 'quit') this.#quit();
    else if (effect.kind === 'redraw') this.#terminal.forget();
    else if (effect.kind === 'suspend') this.#terminal.suspend();
    else if (effect.kind === 'snapshot') this.#snapshot();
    else void this.#call(effect);
  }

  #snapshot(): void {
    try {
      this.#say('good', `written to ${writeSnapshot(this.#ui, this.#mirror, this.#moment())}`);
    } catch (error) {
      this.#say('bad', describe(error));
    }
  }

  async #call({ calls, said }: Extract<Effect, { kind: 'call' }>): Promise<void> {
    try {
      await this.#feed.call(calls);
      this.#say('good', said);
    } catch (error) {
      this.#say('bad', describe(error));
    }
  }

  #say(style: 'good' | 'bad', text: string): void {
    this.#ui = { ...this.#ui, notice: { style, text } };
    this.#draw();
  }
}
