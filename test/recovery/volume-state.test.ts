import test from 'ava';
import type { VolumeState } from '../../src/catalog/model.ts';
import { stateOnTape } from '../../src/recovery/volume-state.ts';
import type { Survey } from '../../src/recovery/survey.ts';

const whole: Survey = { barcode: 'V00001L9', kind: 'hsm', serial: null, files: [{ start: 3, blocks: 2, ended: true }], dump: null, capacity: 1000, used: 500, writeProtected: false, problem: null };
const fine = { lost: 0, hasVoidEnd: false };
const torn = [{ start: 3, blocks: 2, ended: false }];

const cases: readonly (readonly [title: string, survey: Partial<Survey>, known: Parameters<typeof stateOnTape>[1], facts: Partial<typeof fine>, state: VolumeState])[] = [
  ['a good volume with room', {}, undefined, {}, 'writable'],
  ['one without room', { used: 1000 }, undefined, {}, 'full'],
  ['one that the dump has as full', {}, { state: 'full', reason: null }, {}, 'full'],
  ['a blank one', { kind: 'blank', files: [] }, undefined, {}, 'scratch'],
  ['one with a label and nothing else', { files: [] }, undefined, {}, 'scratch'],
  ['one with a label that a pool has', { files: [] }, { state: 'writable', reason: null }, {}, 'writable'],
  ['a write protected one', { writeProtected: true }, undefined, {}, 'readonly'],
  ['one whose last container has no filemark', { files: torn }, undefined, {}, 'readonly'],
  ['one whose end holds nothing', { files: torn }, undefined, { hasVoidEnd: true }, 'writable'],
  ['one that is damaged', { problem: 'EIO' }, { state: 'failed', reason: 'old' }, {}, 'suspect'],
  ['one that lacks what the dump says', {}, { state: 'writable', reason: null }, { lost: 1 }, 'suspect'],
  ['one that an operator made readonly', {}, { state: 'readonly', reason: 'for the auditors' }, {}, 'readonly'],
  ['one that came back from the shelf', {}, { state: 'exported', reason: null }, {}, 'writable'],
];

for (const [title, survey, known, facts, state] of cases) {
  test(`${title} becomes ${state}`, (t) => {
    const found = stateOnTape({ ...whole, ...survey }, known, { ...fine, ...facts });
    t.is(found.state, state);
    t.is(found.reason === null, state === 'writable' || state === 'full' || state === 'scratch');
  });
}
