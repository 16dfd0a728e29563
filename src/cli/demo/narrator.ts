/** What the demo says while it runs; silent with --json and --quiet. */
import type { Context } from '../command.ts';

export class Narrator {
  readonly #context: Context;
  readonly silent: boolean;

  constructor(context: Context) {
    this.#context = context;
    this.silent = context.json || context.quiet;
  }

  title(text: string): void {
    this.#line(`\n== ${text}`);
  }

  text(text: string): void {
    this.#line(text);
  }

  command(text: string): void {
    this.#line(`$ ${text}`);
  }

  #line(text: string): void {
    if (this.silent) return;
    this.#context.out.line(text);
    this.#context.out.flush();
  }
}
