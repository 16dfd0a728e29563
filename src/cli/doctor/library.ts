/** The catalogue and the library: there, private, and with room to write. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { execa } from 'execa';
import { cataloguePath, type Config, type ScsiLibrarySettings } from '../../config.ts';
import { errorCode } from '../../errors.ts';
import { readLibraryConfig } from '../../library/layout.ts';
import { native } from '../../native/index.ts';
import { formatSize } from '../../units.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const littleRoom = 10 * 2 ** 30;

export async function checkLibrary(config: Config): Promise<Finding[]> {
  return [catalogue(config), await library(config)];
}

function catalogue(config: Config): Finding {
  const path = cataloguePath(config.state);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return fail('catalogue', `${path} does not exist`, `set hsm up with 'hsm init', or correct 'state' in ${config.file}`);
  if ((stat.mode & 0o077) !== 0) return warn('catalogue', `${path} can be read by other users: it has the names of all archived files`, `chmod 600 ${path}`);
  const free = freeBytes(config.state);
  if (free < 2 ** 30) return warn('catalogue', `only ${formatSize(free)} are free where the catalogue ${path} is`, 'make room: without it nothing can be archived or recalled');
  return ok('catalogue', `${path}, ${formatSize(stat.size)}`);
}

async function library(config: Config): Promise<Finding> {
  if (config.library.format === 'ltfs') {
    for (const program of ['mkltfs', 'ltfs', 'ltfsck']) {
      const found = await execa(program, ['--version'], { reject: false, stdin: 'ignore', timeout: 10_000 });
      if (found.code === 'ENOENT') return fail('library', `there is no program ${program}: the library's volumes are LTFS`, 'install LTFS (github.com/LinearTapeFileSystem/ltfs), or put it on the PATH of the daemon');
    }
  }
  return config.library.kind === 'scsi' ? tapeLibrary(config.library) : virtualLibrary(config.library.path, config.file);
}

/** What can be told without the robot, which the daemon may be moving. */
async function tapeLibrary({ changer, drives }: ScsiLibrarySettings): Promise<Finding> {
  for (const device of [...(changer === null ? [] : [changer]), ...drives.map((drive) => drive.device)]) {
    if (!existsSync(device)) return fail('library', `${device} does not exist`, `look for it in /dev/tape/by-id; 'modprobe st ch' may help`);
  }
  const named = drives.map(({ name, device }) => `${name} ${device}`).join(', ');
  if (changer === null) return ok('library', `no robot: an operator loads ${named}`);
  const found = await execa('mtx', ['--version'], { reject: false, stdin: 'ignore', timeout: 10_000 });
  if (found.code === 'ENOENT') return fail('library', 'there is no program mtx to move the robot with', 'apt install mtx');
  return ok('library', `robot ${changer}, ${drives.length} drives: ${named}`);
}

async function virtualLibrary(path: string, file: string): Promise<Finding> {
  if (!existsSync(path)) return fail('library', `${path} does not exist`, `mount it, or correct library.path in ${file}`);
  try {
    accessSync(path, constants.R_OK | constants.X_OK);
  } catch (error) {
    return warn('library', `${path} cannot be looked at: ${errorCode(error)}`, 'run hsm doctor as root');
  }
  const { drives, timing } = await readLibraryConfig(path);
  if ((statSync(path).mode & 0o077) !== 0) return warn('library', `${path} can be read by other users: its cartridges hold everybody's data`, `chmod 700 ${path}`);
  const free = freeBytes(path);
  if (free < littleRoom) return warn('library', `only ${formatSize(free)} are free for the cartridges in ${path}`, 'make room, or move the library to a larger disk');
  return ok('library', `${path}: ${drives} drives, timing ${timing}, room for ${formatSize(free)}`);
}

function freeBytes(path: string): number {
  const { available, blockSize } = native.statfs(path);
  return available * blockSize;
}
