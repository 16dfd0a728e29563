import { readFileSync } from 'node:fs';
import test from 'ava';
import { hookTriggers } from '../../../src/monitoring/hooks/triggers.ts';
import { projectRoot } from '../../../src/native/index.ts';

test('docs/monitoring.md names every class and event that a hook can be called for', (t) => {
  const section = readFileSync(`${projectRoot}docs/monitoring.md`, 'utf8').split('\n## Hooks\n')[1] ?? '';
  for (const trigger of hookTriggers) t.true(section.includes(`\`${trigger}\``), trigger);
});
