import test from 'ava';
import { parseMountOptions } from '../../src/cli/mount/options.ts';
import { HsmError } from '../../src/errors.ts';

const none = { type: null, config: null, remount: false, settings: [], attributes: 0, plain: [] };

const sorted = test.macro<[string, Partial<ReturnType<typeof parseMountOptions>>]>({
  exec: (t, text, expected) => void t.deepEqual(parseMountOptions(text), { ...none, ...expected }),
  title: (_, text) => `the options '${text}' are sorted by who they are for`,
});

test(sorted, '', {});
test(sorted, 'defaults,nofail,_netdev,noauto,user,x-systemd.requires-mounts-for=/var,X-mount.mkdir,comment=mine', {});
test(sorted, 'rw,noatime,nosuid', { attributes: 0x12, plain: ['rw', 'noatime', 'nosuid'] });
test(sorted, 'noatime,relatime,noexec,exec', { attributes: 0, plain: ['noatime', 'relatime', 'noexec', 'exec'] });
test(sorted, 'ro', { settings: ['ro'], attributes: 1, plain: ['ro'] });
test(sorted, 'ro,rw', { plain: ['ro', 'rw'] });
test(sorted, 'fstype=xfs,config=/etc/other.toml,inode64,logbsize=256k', { type: 'xfs', config: '/etc/other.toml', settings: ['inode64', 'logbsize=256k'], plain: ['inode64', 'logbsize=256k'] });
test(sorted, 'context="a:b:c0,c1",discard', { settings: ['context=a:b:c0,c1', 'discard'], plain: ['context=a:b:c0,c1', 'discard'] });
test(sorted, 'remount,ro', { remount: true, settings: ['ro'], attributes: 1, plain: ['ro'] });

for (const text of ['bind', 'rbind,ro', 'move', 'fstype=', 'config']) {
  test(`the options '${text}' are refused`, (t) => {
    t.is(t.throws(() => parseMountOptions(text), { instanceOf: HsmError })?.code, 'USAGE');
  });
}
