/** hsm's own folders, which are never archived even when they lie on a managed filesystem. */
import { realpathSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import type { ArchiverContext } from './context.ts';

/** Relative to the filesystem's root. The config's folder counts only where it is not the root itself. */
export function ownFolders({ config, filesystem }: Pick<ArchiverContext, 'config' | 'filesystem'>): Buffer[] {
  const root = real(filesystem.path);
  const inside = (folder: string): Buffer[] => {
    const path = relative(root, real(folder));
    return path === '' || path === '..' || path.startsWith('../') ? [] : [Buffer.from(path)];
  };
  return [config.state, config.library.path, dirname(config.file)].flatMap(inside);
}

const real = (path: string): string => {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
};
