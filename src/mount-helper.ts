/** Entry of mount.hsm, which mount(8) runs for filesystems of type `hsm` in fstab or after -t: EXTERNAL HELPERS in mount(8). */
import { runMountHelper } from './cli/mount/helper.ts';

process.exitCode = await runMountHelper(process.argv.slice(2));
