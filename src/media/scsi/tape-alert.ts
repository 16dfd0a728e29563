/** The TapeAlert flags (SSC-5, TapeAlert application client interface, and its annex of flags): their names, how bad each is, and whose business. */

/** As the standard has them: `information`, `warning`, `critical`. */
export type Severity = 'information' | 'warning' | 'critical';

/**
 * What a flag is about. `cleaning`: the drive wants it. `cleaner`: the cleaning cartridge is no good. `volume`, `drive`: that one is broken, as the
 * drive sees it. `either`: one of the two. `none`: nothing follows.
 */
export type Fault = 'cleaning' | 'cleaner' | 'volume' | 'drive' | 'either' | 'none';

export interface TapeAlert {
  readonly flag: number;
  readonly name: string;
  readonly severity: Severity;
  readonly fault: Fault;
}

const severities = { I: 'information', W: 'warning', C: 'critical' } as const;

const known: Readonly<Record<number, readonly [name: string, severity: keyof typeof severities, fault?: Fault]>> = {
  1: ['Read warning', 'W'],
  2: ['Write warning', 'W'],
  // Comes along with 4, 5 or 6, which tell more.
  3: ['Hard error', 'W', 'either'],
  4: ['Media', 'C', 'volume'],
  5: ['Read failure', 'C', 'either'],
  6: ['Write failure', 'C', 'either'],
  7: ['Media life', 'W', 'volume'],
  8: ['Not data grade', 'W', 'volume'],
  9: ['Write protect', 'C'],
  10: ['No removal', 'I'],
  11: ['Cleaning media', 'I'],
  12: ['Unsupported format', 'I'],
  13: ['Recoverable mechanical cartridge failure', 'C', 'volume'],
  14: ['Unrecoverable mechanical cartridge failure', 'C', 'volume'],
  15: ['Memory chip in cartridge failure', 'W'],
  16: ['Forced eject', 'C'],
  17: ['Read only format', 'W'],
  18: ['Tape directory corrupted on load', 'W'],
  19: ['Nearing media life', 'I'],
  20: ['Cleaning required', 'C', 'cleaning'],
  21: ['Cleaning requested', 'W', 'cleaning'],
  22: ['Expired cleaning media', 'C', 'cleaner'],
  23: ['Invalid cleaning tape', 'C', 'cleaner'],
  24: ['Retension requested', 'W'],
  25: ['Multi-port interface error on a primary port', 'W'],
  26: ['Cooling fan failing', 'W'],
  27: ['Power supply failure', 'W'],
  28: ['Power consumption', 'W'],
  29: ['Drive preventive maintenance required', 'W'],
  30: ['Hardware A', 'C', 'drive'],
  31: ['Hardware B', 'C', 'drive'],
  32: ['Primary interface', 'W'],
  33: ['Eject media', 'C', 'either'],
  34: ['Microcode update fail', 'W'],
  35: ['Drive humidity', 'W'],
  36: ['Drive temperature', 'W'],
  37: ['Drive voltage', 'W'],
  38: ['Predictive failure', 'C'],
  39: ['Diagnostics required', 'W'],
  49: ['Diminished native capacity', 'I'],
  50: ['Lost statistics', 'W'],
  51: ['Tape directory invalid at unload', 'W'],
  52: ['Tape system area write failure', 'C', 'either'],
  53: ['Tape system area read failure', 'C', 'either'],
  54: ['No start of data', 'C', 'either'],
  55: ['Loading or threading failure', 'C', 'either'],
  56: ['Unrecoverable unload failure', 'C', 'drive'],
  57: ['Automation interface failure', 'C'],
  58: ['Microcode failure', 'W'],
  59: ['WORM volume: integrity check failed', 'W'],
  60: ['WORM volume: overwrite attempted', 'W'],
};

/** A flag that no standard names is `Flag 61`, and nothing follows from it. */
export function tapeAlert(flag: number): TapeAlert {
  const [name, severity, fault = 'none'] = known[flag] ?? [`Flag ${flag}`, 'I'];
  return { flag, name, severity: severities[severity], fault };
}

/** `TapeAlert 4 (Media)`. */
export const alertText = ({ flag, name }: TapeAlert): string => `TapeAlert ${flag} (${name})`;
