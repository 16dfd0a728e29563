/** What mount.hsm does with the words that mount(8) gives it: `SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]`. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { configPath, loadConfig } from '../../config.ts';
import { errorCode, usageError } from '../../errors.ts';
import { mountGuarded } from '../../daemon/mount.ts';
import { mountOf } from '../../mounts.ts';
import { describe } from '../report.ts';
import { oneLine } from '../printable.ts';
import { parseMountOptions, type MountOptions } from './options.ts';

/** As mount(8) documents them. */
const mountExitCodes = { success: 0, usage: 1, failed: 32 } as const;

/** Resolves with the exit code; what went wrong is one line on stderr. */
export async function runMountHelper(argv: readonly string[]): Promise<number> {
  try {
    return await help(parseWords(argv));
  } catch (error) {
    process.stderr.write(`mount.hsm: ${oneLine(describe(error))}\n`);
    return ['USAGE', 'EPERM'].includes(errorCode(error)) ? mountExitCodes.usage : mountExitCodes.failed;
  }
}

interface Words {
  readonly source: string;
  readonly dir: string;
  readonly fake: boolean;
  readonly verbose: boolean;
  readonly options: MountOptions;
}

function parseWords(argv: readonly string[]): Words {
  const { values, positionals } = parse(argv);
  const [source, dir, ...more] = positionals;
  if (source === undefined || dir === undefined || more.length > 0) throw usageError('usage: mount.hsm DEVICE DIR [-sfnv] [-o OPTIONS] [-t hsm]');
  if (values.N !== undefined) throw usageError('-N: other mount namespaces are not supported; run mount inside that namespace');
  const [type, subtype] = (values.t ?? 'hsm').split('.');
  if (type !== 'hsm') throw usageError(`the type is hsm, not ${type}: name the filesystem on the device with -o fstype=${type}`);
  const options = parseMountOptions((values.o ?? []).join(','));
  return { source, dir, fake: values.f ?? false, verbose: values.v ?? false, options: { ...options, type: options.type ?? subtype ?? null } };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { s: { type: 'boolean', short: 's' }, f: { type: 'boolean', short: 'f' }, n: { type: 'boolean', short: 'n' }, v: { type: 'boolean', short: 'v' }, N: { type: 'string', short: 'N' }, o: { type: 'string', short: 'o', multiple: true }, t: { type: 'string', short: 't' } },
    });
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

async function help({ source, dir, fake, verbose, options }: Words): Promise<number> {
  if (options.remount) return remount(source, dir, fake, options);
  const config = loadConfig(configPath(options.config ?? undefined));
  if (fake) return mountExitCodes.success;
  const mounted = await mountGuarded(config, { source, dir, type: options.type, settings: options.settings, attributes: options.attributes });
  if (verbose) process.stdout.write(`mount.hsm: ${oneLine(`${mounted.source} mounted at ${mounted.path} (${mounted.type}), guarded by the ${mounted.guardedBy}`)}\n`);
  return mountExitCodes.success;
}

/** The guard belongs to the filesystem and stays. */
function remount(source: string, dir: string, fake: boolean, { plain }: MountOptions): number {
  const type = mountOf(dir)?.type ?? 'auto';
  const { status } = spawnSync('mount', ['-i', ...(fake ? ['-f'] : []), '-t', type, '-o', ['remount', ...plain].join(','), source, dir], { stdio: 'inherit' });
  return status ?? mountExitCodes.failed;
}
