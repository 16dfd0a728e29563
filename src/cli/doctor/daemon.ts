/** The daemon: running, of this version, its drives and volumes usable. */
import type { Config } from '../../config.ts';
import { connect } from '../../daemon/client.ts';
import type { Status } from '../../daemon/protocol.ts';
import { errorCode } from '../../errors.ts';
import { formatSize } from '../../units.ts';
import { version } from '../../version.ts';
import { describe } from '../report.ts';
import { fail, type Finding, ok, warn } from './finding.ts';
import { openFiles } from './kernel.ts';

export async function checkDaemon(config: Config): Promise<Finding[]> {
  let status: Status;
  try {
    const client = await connect(config.socket, 5000);
    try {
      status = (await client.call('status')) as Status;
    } finally {
      client.close();
    }
  } catch (error) {
    if (errorCode(error) === 'NO_DAEMON') return [warn('daemon', `not running: ${describe(error)}`, 'systemctl start hsm, or hsm daemon; until then who opens a stub waits or gets an error'), openFiles(null)];
    return [fail('daemon', describe(error), 'systemctl restart hsm')];
  }
  return [running(status), ...files(status), ...guards(status), ...drives(status), volumes(status)];
}

function running({ daemon }: Status): Finding {
  if (daemon.version !== version) return warn('daemon', `hsm ${daemon.version} runs, this is ${version}`, 'systemctl restart hsm');
  return ok('daemon', `hsm ${daemon.version} runs as pid ${daemon.pid} since ${daemon.startedAt}`);
}

function files({ daemon }: Status): Finding[] {
  try {
    return [openFiles(daemon.pid)];
  } catch {
    return [];
  }
}

function guards({ filesystems }: Status): Finding[] {
  return filesystems.map(({ path, guard, stubs }) =>
    guard === 'none' ? fail('guard', `${path} is not guarded: its ${stubs} stubs cannot be read right`, 'systemctl restart hsm') : ok('guard', `${path} is guarded (${guard}), ${stubs} stubs`),
  );
}

function drives({ drives: all }: Status): Finding[] {
  const usable = all.filter((each) => each.admin === 'up' && each.state !== 'failed');
  if (usable.length === 0) return [fail('drives', `none of ${all.length} drives can be used`, `hsm drive ls says why; hsm drive up NAME takes one into use`)];
  const unusable = all.filter((each) => !usable.includes(each)).map(({ name, reason }) => `${name}${reason === null ? '' : ` (${reason})`}`);
  return [unusable.length > 0 ? warn('drives', `${unusable.join(', ')} cannot be used`, 'hsm drive ls says why; hsm drive up NAME takes one into use') : ok('drives', `${all.length} drives can be used`)];
}

function volumes({ volumes: all }: Status): Finding {
  const bad = all.filter(({ state }) => state === 'failed' || state === 'suspect').map(({ barcode }) => barcode);
  if (bad.length > 0) return warn('volumes', `${bad.join(', ')} cannot be trusted`, 'hsm tape ls says why; hsm verify --tape VOLUME reads one');
  const room = all.filter(({ state }) => state === 'writable' || state === 'scratch').reduce((sum, each) => sum + each.capacity - each.used, 0);
  if (room <= 0) return warn('volumes', 'no volume has room: nothing more can be archived', 'hsm tape add --count 5');
  return ok('volumes', `${all.length} volumes, room for ${formatSize(room)}`);
}
