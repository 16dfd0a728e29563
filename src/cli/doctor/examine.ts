/** Runs every check of `hsm doctor`. A check that itself fails becomes a finding. */
import { type Config, loadConfig } from '../../config.ts';
import { describe } from '../report.ts';
import { checkDaemon } from './daemon.ts';
import { checkFilesystems } from './filesystems.ts';
import { fail, type Finding, ok } from './finding.ts';
import { checkKernel } from './kernel.ts';
import { checkLibrary } from './library.ts';

export async function examine(configFile: string): Promise<Finding[]> {
  const findings = await guarded('kernel', checkKernel);
  let config: Config;
  try {
    config = loadConfig(configFile);
  } catch (error) {
    return [...findings, fail('config', describe(error), `correct the file, or set hsm up with 'hsm init'`)];
  }
  findings.push(ok('config', `${configFile} is valid`));
  findings.push(...(await guarded('filesystem', () => checkFilesystems(config))));
  findings.push(...(await guarded('library', () => checkLibrary(config))));
  findings.push(...(await guarded('daemon', () => checkDaemon(config))));
  return findings;
}

async function guarded(check: string, run: () => Promise<Finding[]> | Finding[]): Promise<Finding[]> {
  try {
    return await run();
  } catch (error) {
    return [fail(check, `could not be checked: ${describe(error)}`, 'run hsm doctor as root; if it stays, report it as a bug')];
  }
}
