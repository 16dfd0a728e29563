/** What is shipped in monitoring/: the alerts fire when they should, and nothing names a metric that there is not. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { definitions } from '../../src/monitoring/definitions.ts';
import { projectRoot } from '../../src/native/index.ts';
import { expressionsOf, hasPromtool, namesInExpression, promtool } from '../fixtures/scrape.ts';

const file = (name: string): string => `${projectRoot}monitoring/${name}`;
const read = (name: string): string => readFileSync(file(name), 'utf8');

if (hasPromtool) {
  test('promtool accepts the alert rules, and each fires and keeps silent as its test says', (t) => {
    t.is(promtool(['check', 'rules', file('alerts.yml')]), '');
    t.is(promtool(['test', 'rules', file('alerts.test.yml')]), '');
  });
} else test.skip('promtool accepts the alert rules (skipped: promtool is not installed)', () => undefined);

test('every alert has a test in which it fires', (t) => {
  const alerts = [...read('alerts.yml').matchAll(/- alert: (\S+)/g)].map(([, name]) => name);
  const tested = [...read('alerts.test.yml').matchAll(/alertname: (\S+)\n +exp_alerts:\n/g)].map(([, name]) => name);
  t.true(alerts.length > 10);
  t.deepEqual(new Set(tested), new Set(alerts));
});

test('every metric of hsm is on the dashboard, and each of its panels asks for something', (t) => {
  const { panels } = JSON.parse(read('grafana-dashboard.json')) as { readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[] };
  t.true(panels.every(({ targets }) => targets.length > 0 && targets.every(({ expr }) => namesInExpression(expr).length > 0)));
  const shown = new Set(panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => namesInExpression(expr))));
  t.deepEqual(Object.keys(definitions).filter((name) => !shown.has(name)), []);
});

test('the expressions of alerts and dashboard are found', (t) => {
  t.deepEqual(namesInExpression('rate(hsm_a_total{x="hsm_b"}[5m]) / hsm_c_seconds_bucket > up'), ['hsm_a_total', 'hsm_c_seconds']);
  t.true(expressionsOf(projectRoot).length > 40);
});
