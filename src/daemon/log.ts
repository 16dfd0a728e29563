/** The daemon's log: JSON lines on stderr, constant messages, data in keys (docs/decisions/0004-a-log-of-our-own.md). */
import { writeSync } from 'node:fs';

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const;
export type Level = keyof typeof levels;

export interface Logger {
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** Lines below `level` are dropped. `write` gets whole lines; by default stderr, synchronously, so that the last words before a crash are there. */
export function createLogger(level: Level, write: (line: string) => void = toStderr): Logger {
  const log = (each: Level, data: object, msg: string): void => {
    if (levels[each] < levels[level]) return;
    write(`${JSON.stringify({ level: each, time: new Date().toISOString(), name: 'hsm', pid: process.pid, ...data, msg }, plain)}\n`);
  };
  return {
    info: (data, message) => log('info', data, message),
    warn: (data, message) => log('warn', data, message),
    error: (data, message) => log('error', data, message),
  };
}

export const isLevel = (text: string | undefined): text is Level => text !== undefined && Object.hasOwn(levels, text);

/** Errors and big numbers have no JSON of their own. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (!(value instanceof Error)) return value;
  const { name, message, stack } = value;
  return { name, message, ...('code' in value ? { code: value.code } : {}), stack, ...(value.cause === undefined ? {} : { cause: value.cause }) };
}

/** A log that cannot be written must not stop a recall. */
function toStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    return;
  }
}
