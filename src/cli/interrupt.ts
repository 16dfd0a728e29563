/** ^C and SIGTERM while a command has something to stop in good order. */
import { exitCodes } from '../errors.ts';

/**
 * Calls `onFirst` at the first SIGINT, SIGTERM or SIGHUP. At the second the process exits at once with 130, or, if something must be
 * cleaned up first, nothing happens. Undo with `off`; `seen` tells whether there was one.
 */
export function onInterrupt(onFirst: () => void, second: 'exit' | 'ignore' = 'exit'): { readonly seen: boolean; off(): void } {
  let seen = false;
  const take = () => {
    if (seen && second === 'exit') process.exit(exitCodes.interrupted);
    if (seen) return;
    seen = true;
    onFirst();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const each of signals) process.on(each, take);
  return {
    get seen() {
      return seen;
    },
    off() {
      for (const each of signals) process.off(each, take);
    },
  };
}
