/** Access: the conformance suite of access paths. It reads and changes stubs in every way that the kernel and people's programs know, and compares every byte. */
import { calls } from './calls.ts';
import type { AccessCase } from './case.ts';
import { tools } from './tools.ts';
import { views } from './views.ts';

export const accessCases: readonly AccessCase[] = [...calls, ...views, ...tools];

export { type AccessCase, type Filesystem, type User, users } from './case.ts';
export { isExpected, type Result, type Verdict } from './judge.ts';
export { layOut, type Place, type Trial } from './layout.ts';
export { runScript } from './script.ts';
export { runTrial } from './trial.ts';
