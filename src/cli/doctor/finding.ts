/** One line of `hsm doctor`. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do; null when nothing need be done. */
  readonly advice: string | null;
}

export const ok = (check: string, message: string): Finding => ({ check, status: 'ok', message, advice: null });
export const warn = (check: string, message: string, advice: string): Finding => ({ check, status: 'warn', message, advice });
export const fail = (check: string, message: string, advice: string): Finding => ({ check, status: 'fail', message, advice });
