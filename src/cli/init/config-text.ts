/** The config file that `hsm init` writes: every key, with what it is for. */
import { defaultSocketPath, socketPath } from '../../config.ts';
import type { InitPlan } from './plan.ts';

export function configText(plan: Pick<InitPlan, 'state' | 'library' | 'filesystems' | 'timing'>): string {
  const socket = socketPath(plan.state);
  return `# Configuration of hsm: docs/operations.md explains each key, 'hsm doctor' checks them.

# Folder of the catalogue and of what the daemon must keep. Never on a filesystem that hsm manages.
state = ${text(plan.state)}

# Where the daemon listens${socket === defaultSocketPath ? '' : '; by default in the state folder'}.
# socket = ${text(socket)}

# Mount points of the filesystems that hsm manages.
filesystems = [${plan.filesystems.map(({ path }) => text(path)).join(', ')}]

[library]
kind = "virtual"
path = ${text(plan.library)}
# As slow as a real drive: "none", "lto8" or "lto9".
timing = ${text(plan.timing)}

[archive]
# Each of these pools gets a copy when 'hsm archive' is not told --pool.
pools = ["default"]
# Bytes after which a container is closed.
# container_size = ${text(plan.timing === 'none' ? '256M' : '4G')}

[recall]
# Milliseconds that the first recall waits for others to be sorted with.
batch_window_ms = 20
# Seconds after which readers get EAGAIN. 0: they wait as long as tape takes.
timeout_s = 0
`;
}

/** A TOML basic string; JSON's escapes are a part of TOML's. */
const text = (value: string): string => JSON.stringify(value).replace(/\u007f/g, '\\u007f');
