/** The screens and their letters. */

export const screens = [
  { id: 'overview', key: 'o', title: 'Overview', short: 'Ovr', about: 'what is going on: recalls, rates, drives, what waits longest' },
  { id: 'tapes', key: 'm', title: 'By tape', short: 'Tape', about: 'recalls by tape: what waits for which volume, and where that is' },
  { id: 'requests', key: 'u', title: 'Requests', short: 'Req', about: 'recall requests: age, who asked, place in the queue, ETA' },
  { id: 'blocked', key: 'b', title: 'Blocked', short: 'Blk', about: 'processes that wait for data' },
  { id: 'drives', key: 'd', title: 'Drives', short: 'Drv', about: 'drives, what they hold and do' },
  { id: 'volumes', key: 'v', title: 'Volumes', short: 'Vol', about: 'volumes with state, place and use' },
  { id: 'jobs', key: 'j', title: 'Jobs', short: 'Job', about: 'archive, release, recall and verify jobs, newest first' },
  { id: 'failed', key: 'f', title: 'Failed', short: 'Fail', about: 'recalls that failed lately, and why' },
  { id: 'events', key: 'e', title: 'Events', short: 'Evt', about: 'the event log: what was done, by whom' },
] as const;

export type ScreenId = (typeof screens)[number]['id'];
/** All but the overview are lists. */
export type ListId = Exclude<ScreenId, 'overview'>;
export const listIds = screens.map(({ id }) => id).filter((id) => id !== 'overview');
