/** The same file seen through other mounts, namespaces and devices. Root makes the view, the user reads through it. */
import type { AccessCase } from './case.ts';

const frozen = 'nothing can be restored into a read-only snapshot. Recall before it is made, or read the file itself';

/** Binds $FOLDER at $OUT/view. */
const bind = 'mkdir "$OUT/view"; mount --bind "$FOLDER" "$OUT/view"';
/** A root of its own in $OUT/root, with the system's programs and the case's folder at /data. */
const newRoot = `mkdir "$OUT/root"; mount -t tmpfs tmpfs "$OUT/root"; cd "$OUT/root"; mkdir data usr; mount --bind /usr usr; mount --bind "$FOLDER" data
for each in bin sbin lib lib64; do if [ -L "/$each" ]; then ln -s "usr/$each" "$each"; elif [ -d "/$each" ]; then mkdir "$each"; mount --bind "/$each" "$each"; fi; done
cp "$ACCESS" access; chmod 755 . access`;
const overlay = (options = '') => `mkdir "$OUT/layers"; mount -t tmpfs tmpfs "$OUT/layers"; cd "$OUT/layers"; mkdir upper work merged; chown "$OWNER" upper
mount -t overlay -o "lowerdir=$FOLDER,upperdir=upper,workdir=work${options}" overlay merged`;
const loop = (options: string) => `device=$(losetup --find --show ${options} "$FILE"); trap 'losetup -d "$device"' EXIT; $AS cat < "$device"`;
const snapshot = (options: string) => `btrfs subvolume snapshot ${options} "$SUBVOLUME" "$SUBVOLUME/$SNAPSHOT" > "$OUT/log"; trap 'btrfs subvolume delete "$SUBVOLUME/$SNAPSHOT" >> "$OUT/log"' EXIT
$AS "$ACCESS" read "$SUBVOLUME/$SNAPSHOT/$BELOW/file"`;

const asRoot = { family: 'view', asRoot: true } as const;
const readOnlyView = true;

export const views: readonly AccessCase[] = [
  { name: 'bind mount', ...asRoot, script: `${bind}; $AS "$ACCESS" read "$OUT/view/file"` },
  { name: 'bind mount of the file', ...asRoot, script: ': > "$OUT/view"; mount --bind "$FILE" "$OUT/view"; $AS "$ACCESS" read "$OUT/view"' },
  { name: 'second mount of the device', ...asRoot, script: 'mkdir "$OUT/view"; mount "$DEVICE" "$OUT/view"; $AS "$ACCESS" read "$OUT/view/$WITHIN/file"' },
  { name: 'read-only bind mount', ...asRoot, readOnlyView, script: `${bind}; mount -o remount,bind,ro "$OUT/view"; $AS "$ACCESS" read "$OUT/view/file"` },
  { name: 'read-only bind mount, mmap', ...asRoot, readOnlyView, script: `${bind}; mount -o remount,bind,ro "$OUT/view"; $AS "$ACCESS" mmap-private "$OUT/view/file"` },
  { name: 'other mount namespace', ...asRoot, script: '$AS "$ACCESS" read "$FILE"' },
  { name: 'user namespace', family: 'view', script: 'unshare -Ur true || exit 77; unshare -Ur "$ACCESS" read "$FILE"' },
  { name: 'container', ...asRoot, script: `${newRoot}; unshare --pid --fork --ipc --uts --net chroot . $AS /access read /data/file` },
  { name: 'container, read-only volume', ...asRoot, readOnlyView, script: `${newRoot}; mount -o remount,bind,ro data; unshare --pid --fork --ipc --uts --net chroot . $AS /access read /data/file` },
  {
    name: 'rootless container',
    family: 'view',
    script: `unshare -Urm true || exit 77; unshare -Urm --pid --fork sh -ec 'mkdir "$OUT/root"; mount -t tmpfs tmpfs "$OUT/root"; mkdir "$OUT/root/data"; mount --rbind "$FOLDER" "$OUT/root/data"; "$ACCESS" read "$OUT/root/data/file"'`,
  },
  { name: 'overlay lower', ...asRoot, readOnlyView, script: `${overlay()}; $AS "$ACCESS" read merged/file` },
  { name: 'overlay lower, mmap', ...asRoot, readOnlyView, script: `${overlay()}; $AS "$ACCESS" mmap-shared merged/file` },
  { name: 'overlay copy-up', ...asRoot, readOnlyView, script: `${overlay()}; $AS "$ACCESS" append merged/file; head -c 70003 merged/file` },
  { name: 'overlay copy-up of metadata', ...asRoot, readOnlyView, script: `${overlay(',metacopy=on')}; $AS chmod 700 merged/file; $AS "$ACCESS" read merged/file` },
  { name: 'loop device', ...asRoot, content: 'sectors', script: loop('--read-only') },
  { name: 'loop device, direct', ...asRoot, content: 'sectors', script: loop('--direct-io=on') },
  {
    name: 'filesystem image, mounted',
    ...asRoot,
    content: 'none',
    file: 'image',
    needs: ['mke2fs'],
    make: 'mkdir "$OUT/tree"; echo right > "$OUT/tree/data"; mke2fs -q -t ext4 -O ^has_journal -d "$OUT/tree" "$FILE" 1M',
    script: 'mkdir "$OUT/view"; mount -o loop,ro "$FILE" "$OUT/view"; $AS cat "$OUT/view/data"',
    prints: () => 'right\n',
  },
  { name: 'btrfs snapshot', ...asRoot, types: ['btrfs'], needs: ['btrfs'], script: snapshot(''), recalls: false },
  { name: 'btrfs snapshot, read-only', ...asRoot, types: ['btrfs'], needs: ['btrfs'], script: snapshot('-r'), recalls: false, refused: frozen },
];
