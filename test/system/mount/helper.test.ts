/** mount.hsm, called as mount(8) calls it, and by the machine's own mount(8) with an fstab, in a mount namespace where /sbin has it. */
import { chmodSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { filesystemTypes, keepDevice, kernelTest } from '../../fixtures/loopfs.ts';
import { bin, managed, type Managed } from '../../fixtures/managed.ts';
import { makeStubs, shell } from '../../fixtures/stubs.ts';
import { until } from '../../fixtures/until.ts';

const realTest = kernelTest(test);
const limit = 120_000;

interface Helped {
  readonly hsm: Managed;
  readonly device: string;
  readonly path: string;
  readonly help: (...words: string[]) => Promise<{ exitCode: number | undefined; stdout: string; stderr: string }>;
}

/** A filesystem with a stub, unmounted, without a daemon. */
async function helped(t: Parameters<typeof managed>[0], type: (typeof filesystemTypes)[number]): Promise<Helped> {
  const hsm = await managed(t, type);
  const [path = ''] = await makeStubs(hsm, { f: 'data '.repeat(2000) });
  const device = keepDevice(t, hsm.mount);
  await hsm.stopDaemon();
  await unmount(hsm.mount);
  const helper = join(hsm.folder, 'mount.hsm');
  symlinkSync(bin, helper);
  const help: Helped['help'] = async (...words) => {
    const { exitCode, stdout, stderr } = await execa(helper, words, { reject: false, timeout: limit, env: { HSM_CONFIG: hsm.config } });
    return { exitCode, stdout, stderr };
  };
  return { hsm, device, path, help };
}

const unmount = (path: string): Promise<unknown> => until(async () => (await execa('umount', [path], { reject: false, timeout: limit })).exitCode === 0, limit, `umount ${path}`);
const mountLine = async (path: string): Promise<string> => (await execa('findmnt', ['-no', 'FSTYPE,OPTIONS', path], { reject: false, timeout: 10_000 })).stdout;

realTest('mount.hsm obeys the words of mount(8)', async (t) => {
  const { hsm, device, path, help } = await helped(t, 'ext4');
  const { config, mount } = hsm;
  const done = { exitCode: 0, stdout: '', stderr: '' };

  t.deepEqual(await help(device, mount, '-f', '-o', 'rw'), done);
  t.is(await mountLine(mount), '');

  t.deepEqual(await help(device, mount, '-o', 'rw,noatime,nofail,_netdev,fstype=ext4', '-n', '-s', '-t', 'hsm'), done);
  t.regex(await mountLine(mount), /^ext4 +rw,noatime/);
  t.like(await execa('cat', [path], { reject: false, timeout: limit }), { exitCode: 1, stdout: '' });

  t.deepEqual(await help(device, mount, '-o', 'remount,ro', '-t', 'hsm'), done);
  t.regex(await mountLine(mount), /^ext4 +ro/);
  t.deepEqual(await help(device, mount, '-o', 'remount,rw'), done);
  t.like(await execa('cat', [path], { reject: false, timeout: limit }), { exitCode: 1, stdout: '' });
  await unmount(mount);

  const told = await execa(join(hsm.folder, 'mount.hsm'), [device, mount, '-v', '-o', `config=${config}`, '-t', 'hsm.ext4'], { timeout: limit });
  t.is(told.stdout, `mount.hsm: ${device} mounted at ${mount} (ext4), guarded by the denier`);
});

const wrong: readonly (readonly [title: string, exitCode: number, words: (helped: Helped) => string[], message: RegExp])[] = [
  ['without a folder', 1, ({ device }) => [device], /^usage: mount\.hsm DEVICE DIR/],
  ['with an unknown word', 1, ({ device, hsm }) => [device, hsm.mount, '-x'], /'-x'/],
  ['for another type', 1, ({ device, hsm }) => [device, hsm.mount, '-t', 'nfs'], /the type is hsm, not nfs/],
  ['for a bind mount', 1, ({ device, hsm }) => [device, hsm.mount, '-o', 'bind'], /bind makes no new view/],
  ['in another namespace', 1, ({ device, hsm }) => [device, hsm.mount, '-N', '1'], /namespaces are not supported/],
  ['of what is no device', 1, ({ hsm }) => [hsm.config, hsm.mount], /is no block device: make one of a file with losetup/],
  ['of what does not exist', 32, ({ hsm }) => ['/dev/none', hsm.mount], /^\/dev\/none does not exist$/],
  ['of a UUID that nothing has', 32, ({ hsm }) => ['UUID=00000000-0000-0000-0000-000000000001', hsm.mount], /^no device has UUID=/],
  ['at a folder that does not exist', 32, ({ device, hsm }) => [device, `${hsm.mount}/none`], /none does not exist: make it first$/],
  ['at a folder that is not in the config', 32, ({ device, hsm }) => [device, hsm.folder], /is none of the filesystems of .*hsm\.toml/],
  ['with an option that the filesystem does not know', 32, ({ device, hsm }) => [device, hsm.mount, '-o', 'blah=3'], /^cannot mount .*: option blah=3: ext4: Unknown parameter 'blah'/],
  ['as a filesystem that it is not', 32, ({ device, hsm }) => [device, hsm.mount, '-o', 'fstype=xfs'], /^cannot mount .*: .*Invalid argument/],
  ['as a filesystem that hsm does not manage', 32, ({ device, hsm }) => [device, hsm.mount, '-o', 'fstype=ext2'], /is ext2: hsm manages ext4, xfs, btrfs/],
  ['with a config that does not exist', 32, ({ device, hsm }) => [device, hsm.mount, '-o', 'config=/none.toml'], /^\/none\.toml cannot be read/],
];

realTest('mount.hsm says in one line what is wrong, and mounts nothing', async (t) => {
  const all = await helped(t, 'ext4');
  for (const [title, exitCode, words, message] of wrong) {
    const { stderr, ...rest } = await all.help(...words(all));
    t.deepEqual(rest, { exitCode, stdout: '' }, title);
    t.regex(stderr.replace(/^mount\.hsm: /, ''), message, title);
    t.is(stderr.split('\n').length, 1, title);
    t.is(await mountLine(all.hsm.mount), '', title);
  }
  const { hsm, device, help } = all;
  t.is((await help(device, hsm.mount)).exitCode, 0);
  t.like(await help(device, hsm.mount), { exitCode: 32, stderr: `mount.hsm: ${device} is mounted at ${hsm.mount} already` });
  chmodSync(hsm.folder, 0o755);
  const nobody = await execa('setpriv', ['--reuid=65534', '--clear-groups', bin, '--config', hsm.config, 'mount', device, hsm.mount], { reject: false, timeout: limit });
  t.like(nobody, { exitCode: 1, stderr: 'hsm: only root may mount filesystems' });
});

/**
 * mount(8) looks for helpers in /sbin only: an overlay over it, in a namespace of its own, has one more. The machine's cache of UUIDs may
 * still have those of the loop device's last user.
 */
const withHelper = `
mkdir "$1/upper" "$1/work"
mount -t tmpfs none "$1/upper"
mkdir "$1/upper/files" "$1/upper/work"
ln -s "$2" "$1/upper/files/mount.hsm"
sbin=$(readlink -f /sbin)
mount -t overlay -o "lowerdir=$sbin,upperdir=$1/upper/files,workdir=$1/upper/work" none "$sbin"
export LIBMOUNT_FSTAB=$1/fstab HSM_CONFIG=$3 BLKID_FILE=$1/blkid.tab
`;

for (const type of filesystemTypes) {
  realTest(`mount(8) mounts a line of fstab with ${type} by mount.hsm`, async (t) => {
    const { hsm, device, path } = await helped(t, type);
    const { folder, mount, config } = hsm;
    const uuid = await shell('blkid -p -o value -s UUID "$1"', device);
    writeFileSync(join(folder, 'fstab'), `UUID=${uuid} ${mount} hsm fstype=${type},noatime,nofail,x-systemd.requires-mounts-for=/var/lib/hsm 0 0\n`);
    const script = `${withHelper}
      mount -a
      findmnt -no FSTYPE,OPTIONS "$4"
      cat "$5" 2>&1 || true
      mount -o remount,ro "$4"
      findmnt -no OPTIONS "$4"
      until umount "$4"; do sleep 0.01; done 2>/dev/null
      mount -t hsm -o fstype=${type},nodev "$6" "$4"
      findmnt -no OPTIONS "$4"
      mount -t hsm -o fstype=${type},blah=1 "$6" "$4" 2>&1 || echo "exit $?"
      until umount "$4"; do sleep 0.01; done 2>/dev/null
    `;
    const { stdout } = await execa('unshare', ['-m', '--propagation', 'slave', 'bash', '-ec', script, 'test', folder, bin, config, mount, path, device], { timeout: limit });
    const [first, denied, remounted, second, refused, exit] = stdout.split('\n');
    t.regex(first ?? '', new RegExp(`^${type} +rw,noatime`));
    t.regex(denied ?? '', /Resource temporarily unavailable/);
    t.regex(remounted ?? '', /^ro,noatime/);
    t.regex(second ?? '', /^rw,nodev/);
    t.regex(refused ?? '', /^mount\.hsm: .* is mounted at .* already$/);
    t.is(exit, 'exit 32');
    t.false(existsSync(path));
  });
}
