import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { firstContainerAddress, labelVolume, walkHeaders } from '../../src/media/containers.ts';
import { tapeBlockSize } from '../../src/media/format.ts';
import { parseMetadata, type MemberMetadata } from '../../src/media/member-metadata.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { native } from '../../src/native/index.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { inputOf, newPacker, pack } from '../fixtures/pack.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

test('headers tell everything of the inodes that they were made from', async (t) => {
  const root = await temporaryFolder(t);
  const names = ['plain', 'owned', 'old', 'attributes'];
  for (const name of names) writeFileSync(join(root, name), name.repeat(2000));
  chownSync(join(root, 'owned'), 3_000_000, 2_097_152);
  chmodSync(join(root, 'owned'), 0o6751);
  utimesSync(join(root, 'owned'), 1_111_111_111.25, 1_222_222_222.5);
  utimesSync(join(root, 'old'), -1.5, -0.25);
  const odd = 'user.a=b%3D%25c';
  native.setxattr(join(root, 'attributes'), odd, Buffer.from([0, 10, 61, 255]));
  native.setxattr(join(root, 'attributes'), 'user.empty', Buffer.alloc(0));
  execFileSync('setfacl', ['-m', 'u:4242:r,g:7:rw', join(root, 'attributes')], { timeout: 10_000 });
  const before = new Map(names.map((name) => [name, lstatSync(join(root, name), { bigint: true })]));

  const { container } = await pack(newPacker(t, root), [inputOf(root, names)]);
  const medium = await loadVirtualCartridge(await newCartridge(t, 2 ** 26));
  t.teardown(() => medium.abandon());
  await labelVolume(medium);
  for (let at = 0; at < container.length; at += tapeBlockSize) await medium.writeBlock(container.subarray(at, at + tapeBlockSize));
  await medium.writeFilemark({ sync: true });
  const found = new Map<string, MemberMetadata>();
  t.true(await walkHeaders(medium, firstContainerAddress, 0, (member, header) => void found.set(member.name.toString(), parseMetadata(header))));

  for (const name of names) {
    const was = before.get(name)!;
    const { mode, uid, gid, atimeNs, mtimeNs, xattrs } = found.get(name)!;
    t.deepEqual([mode, uid, gid, atimeNs, mtimeNs], [Number(was.mode & 0o7777n), Number(was.uid), Number(was.gid), was.atimeNs, was.mtimeNs], name);
    t.deepEqual(
      xattrs.map(([key, value]) => [key, value.toString('hex')]).sort(),
      native.listxattr(join(root, name)).map((key) => [key, native.getxattr(join(root, name), key)!.toString('hex')]).sort(),
      name,
    );
  }
});
