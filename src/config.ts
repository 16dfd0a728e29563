/** The configuration file: TOML, world-readable, no secrets. One place knows its keys and defaults. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { limitRule } from './config-limits.ts';
import { type HookSettings, hookSettings, type MetricsSettings, metricsSettings } from './config-monitoring.ts';
import { exitCodes, HsmError } from './errors.ts';
import type { LimitRule } from './recall/limits/rules.ts';
import { parseAge, parseSize } from './units.ts';

/** What is written to volumes: containers one after the other, or files on LTFS. */
export type VolumeFormat = 'tar' | 'ltfs';

export interface VirtualLibrarySettings {
  readonly kind: 'virtual';
  readonly path: string;
  readonly timing: 'none' | 'lto8' | 'lto9';
  readonly format: VolumeFormat;
}

/** Drives, and the robot that loads them. */
export interface ScsiLibrarySettings {
  readonly kind: 'scsi';
  /** Folder of the lock and of what operators said of the drives. */
  readonly path: string;
  /** The robot's device; null: an operator loads the drives. */
  readonly changer: string | null;
  readonly drives: readonly {
    readonly name: string;
    /** The non-rewinding tape device. */
    readonly device: string;
    /** The robot's number of the drive, from 0; null: found by the drive's serial number. */
    readonly element: number | null;
  }[];
  /** Bytes a cartridge; null: by the generation that ends its barcode. */
  readonly capacity: number | null;
  /** How long a drive may take to thread a tape. */
  readonly loadTimeoutS: number;
  readonly format: VolumeFormat;
  readonly cleaning: CleaningSettings;
}

export interface CleaningSettings {
  /** Cartridges whose barcodes begin so clean drives, and are never written. */
  readonly prefix: string;
  /** How often each can be used. */
  readonly uses: number;
  /** What happens when a drive wants to be cleaned: that, or an operator is asked. */
  readonly when: 'auto' | 'ask';
  /** How long it may take, seconds. */
  readonly timeoutS: number;
}

export const defaultCleaning: CleaningSettings = { prefix: 'CLN', uses: 50, when: 'auto', timeoutS: 900 };

export type LibrarySettings = VirtualLibrarySettings | ScsiLibrarySettings;

export interface Config {
  /** Seconds after which a volume that nobody uses goes back to its slot; 0: never. */
  readonly dismountAfterS: number;
  /** Where this was read from. */
  readonly file: string;
  /** Folder of the catalogue and of what the daemon must keep. */
  readonly state: string;
  readonly socket: string;
  readonly filesystems: readonly string[];
  readonly library: LibrarySettings;
  readonly archive: {
    /** Pools that get a copy each when --pool is not given. */
    readonly pools: readonly string[];
    /** Bytes after which a container is closed. */
    readonly containerSize: number;
    /** How many drives writers may have at a time; 0: all. */
    readonly drives: number;
    /** Seconds for which old versions and files that are gone can be had again. */
    readonly retentionS: number;
  };
  readonly recall: {
    /** How long the first request waits for company, ms. */
    readonly batchWindowMs: number;
    /** Seconds after which a volume gives its drive to others that are as urgent; 0: never. */
    readonly turnS: number;
    /** Where several users want files of one volume, so many of each are read in turn. */
    readonly share: number;
    /** How many drives readers may have at a time; 0: all. */
    readonly drives: number;
    /** How many files are recalled ahead of who reads one after the other; 0: none. */
    readonly prefetchFiles: number;
    /** Rules against recall storms, before those that are there by default. */
    readonly limits: readonly LimitRule[];
    readonly defaultLimits: boolean;
    /** So many requests of one user at a time are reported as a storm; 0: none is. */
    readonly stormFiles: number;
    /** Percent of a filesystem that recalls leave free, and how long they wait for room before ENOSPC, seconds. */
    readonly keepFreePercent: number;
    readonly fullWaitS: number;
    /** Seconds after which waiters get EAGAIN; 0: never. */
    readonly timeoutS: number;
    /** How the kernel opens the files of events: `auto` is `rdonly`, since `rdwr` refuses readers of read-only views. */
    readonly eventFd: 'auto' | 'rdonly' | 'rdwr';
  };
  readonly metrics: MetricsSettings;
  readonly hooks: HookSettings;
}

export const defaultConfigPath = '/etc/hsm/hsm.toml';
export const defaultStatePath = '/var/lib/hsm';
export const defaultSocketPath = '/run/hsm/hsm.sock';

/** The catalogue's database file. */
export const cataloguePath = (state: string): string => join(state, 'catalogue.db');

/** Where the control socket is unless the config says otherwise. */
export const socketPath = (state: string): string => (state === defaultStatePath ? defaultSocketPath : join(state, 'hsm.sock'));

/** `--config`, else HSM_CONFIG, else /etc/hsm/hsm.toml. */
export const configPath = (option: string | undefined): string => resolve(option ?? (process.env['HSM_CONFIG'] || defaultConfigPath));

type Table = Record<string, unknown>;

/** Reads and checks the whole file; every problem is one line that names the file and the key. */
export function loadConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw problem(file, `cannot be read: run 'hsm init', or name another file with --config`, error);
  }
  let top: Table;
  try {
    top = parse(text);
  } catch (error) {
    throw problem(file, `is not valid TOML: ${(error as Error).message.split('\n')[0]}`, error);
  }
  const reader = new Reader(file, top);
  const state = reader.path('state', defaultStatePath);
  const library = reader.table('library');
  const archive = reader.table('archive');
  const recall = reader.table('recall');
  const metrics = reader.table('metrics');
  const hooks = reader.table('hooks');
  const socket = reader.path('socket', socketPath(state));
  const settings = librarySettings(library, join(state, 'library'));
  const config: Config = {
    dismountAfterS: library.number('dismount_after_s', 600),
    file,
    state,
    socket,
    filesystems: reader.strings('filesystems', []),
    library: settings,
    archive: {
      pools: archive.strings('pools', ['default']),
      containerSize: archive.size('container_size', settings.kind === 'virtual' && settings.timing === 'none' ? 256 * 2 ** 20 : 4 * 2 ** 30),
      drives: archive.number('drives', 0),
      retentionS: archive.age('retention', '90d'),
    },
    recall: {
      batchWindowMs: recall.number('batch_window_ms', 20),
      turnS: recall.number('turn_s', 900),
      share: Math.max(1, recall.number('share', 64)),
      drives: recall.number('drives', 0),
      prefetchFiles: recall.number('prefetch', 0),
      limits: recall.optionalTables('limit').map(limitRule),
      defaultLimits: recall.flag('default_limits', true),
      stormFiles: recall.number('storm_files', 1000),
      keepFreePercent: recall.number('keep_free_percent', 1),
      fullWaitS: recall.number('full_wait_s', 60),
      timeoutS: recall.number('timeout_s', 0),
      eventFd: recall.choice('event_fd', ['auto', 'rdonly', 'rdwr'], 'auto'),
    },
    metrics: metricsSettings(metrics, socket),
    hooks: hookSettings(hooks),
  };
  for (const each of [reader, library, archive, recall, metrics, hooks]) each.refuseUnknown();
  if (config.filesystems.length === 0) throw problem(file, `names no filesystem: add filesystems = ["/data"]`);
  if (!config.filesystems.every((each) => isAbsolute(each))) throw problem(file, 'is wrong: filesystems must be absolute paths of mount points');
  if (config.archive.pools.length === 0 || config.archive.pools.includes('')) throw problem(file, 'is wrong: archive.pools must name at least one pool');
  return config;
}

function librarySettings(library: Reader, path: string): LibrarySettings {
  const format = library.choice('format', ['tar', 'ltfs'], 'tar');
  if (library.choice('kind', ['virtual', 'scsi'], 'virtual') === 'virtual') {
    const timing = library.choice('timing', format === 'ltfs' ? ['none'] : ['none', 'lto8', 'lto9'], 'none');
    return { kind: 'virtual', path: library.path('path', path), timing, format };
  }
  const drives = library.tables('drive').map((drive, i) => {
    const settings = { name: drive.text('name', `drive${i}`), device: drive.path('device'), element: drive.optionalNumber('element') };
    drive.refuseUnknown();
    return settings;
  });
  return {
    kind: 'scsi',
    format,
    path: library.path('path', path),
    changer: library.optionalPath('changer'),
    drives,
    capacity: library.optionalSize('capacity'),
    loadTimeoutS: library.number('load_timeout_s', 1200),
    cleaning: {
      prefix: library.text('cleaning_prefix', defaultCleaning.prefix),
      uses: library.number('cleaning_uses', defaultCleaning.uses),
      when: library.choice('clean', ['auto', 'ask'], defaultCleaning.when),
      timeoutS: library.number('clean_timeout_s', defaultCleaning.timeoutS),
    },
  };
}

const problem = (file: string, message: string, cause?: unknown): HsmError =>
  new HsmError('CONFIG', `${file} ${message}`, { exit: exitCodes.usage, path: file, cause });

class Reader {
  readonly #file: string;
  readonly #table: Table;
  readonly #prefix: string;
  readonly #known = new Set<string>();

  constructor(file: string, table: Table, prefix = '') {
    this.#file = file;
    this.#table = table;
    this.#prefix = prefix;
  }

  #get(key: string): unknown {
    this.#known.add(key);
    return this.#table[key];
  }

  fail(key: string, expected: string): HsmError {
    return problem(this.#file, `is wrong: ${this.#prefix}${key} must be ${expected}`);
  }

  table(key: string): Reader {
    const value = this.#get(key) ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) throw this.fail(key, 'a table');
    return new Reader(this.#file, value as Table, `${this.#prefix}${key}.`);
  }

  /** A list of tables, at least one. */
  tables(key: string): readonly Reader[] {
    const value = this.#get(key);
    const isTable = (each: unknown): each is Table => typeof each === 'object' && each !== null && !Array.isArray(each);
    if (!Array.isArray(value) || value.length === 0 || !value.every(isTable)) throw this.fail(key, `one or more tables [[${this.#prefix}${key}]]`);
    return value.map((each, i) => new Reader(this.#file, each, `${this.#prefix}${key}[${i}].`));
  }

  optionalTables(key: string): readonly Reader[] {
    return this.#get(key) === undefined ? [] : this.tables(key);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.fail(key, 'true or false');
    return value;
  }

  text(key: string, fallback: string): string {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'string' || value === '') throw this.fail(key, 'a text');
    return value;
  }

  optionalText(key: string): string | null {
    return this.#get(key) === undefined ? null : this.text(key, '');
  }

  /** Must be there when no fallback is given. */
  path(key: string, fallback?: string): string {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'string' || value === '') throw this.fail(key, 'a path');
    return isAbsolute(value) ? value : join(dirname(this.#file), value);
  }

  optionalPath(key: string): string | null {
    return this.#get(key) === undefined ? null : this.path(key);
  }

  strings(key: string, fallback: readonly string[]): readonly string[] {
    const value = this.#get(key) ?? fallback;
    if (!Array.isArray(value) || !value.every((each): each is string => typeof each === 'string')) throw this.fail(key, 'a list of strings');
    return value;
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.#get(key) ?? fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.fail(key, `one of ${choices.join(', ')}`);
    return found;
  }

  number(key: string, fallback: number): number {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw this.fail(key, 'a number of 0 or more');
    return value;
  }

  optionalNumber(key: string): number | null {
    return this.#get(key) === undefined ? null : this.number(key, 0);
  }

  optionalSize(key: string): number | null {
    return this.#get(key) === undefined ? null : this.size(key, 1);
  }

  /** Seconds. */
  age(key: string, fallback: string): number {
    const value = this.#get(key) ?? fallback;
    const seconds = typeof value === 'string' ? parseAge(value) : null;
    if (seconds === null) throw this.fail(key, 'an age such as 90d or 1y');
    return seconds;
  }

  size(key: string, fallback: number): number {
    const value = this.#get(key);
    if (value === undefined) return fallback;
    const size = typeof value === 'string' ? parseSize(value) : value;
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1) throw this.fail(key, 'a size such as 256M or 4G');
    return size;
  }

  refuseUnknown(): void {
    const unknown = Object.keys(this.#table).find((key) => !this.#known.has(key));
    if (unknown !== undefined) throw problem(this.#file, `is wrong: unknown key ${this.#prefix}${unknown}`);
  }
}
