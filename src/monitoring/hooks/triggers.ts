/** Which events call the hooks. Kinds are those of the event log (`hsm events`). */

const classes = {
  'operator-needed': ['operator-needed', 'volume-wanted'],
  failure: ['media-failure', 'volume-suspect', 'drive-down', 'tape-alert', 'queue-overflow', 'recalls-failed', 'job-failed'],
  storm: ['recall-storm', 'recall-storm-over'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type HookClass = keyof typeof classes;
export type HookEvent = (typeof classes)[HookClass][number];
export type HookTrigger = HookClass | HookEvent;

export const hookTriggers: readonly HookTrigger[] = [...new Set<HookTrigger>([...(Object.keys(classes) as HookClass[]), ...Object.values(classes).flat()])];

/** The class of an event and the name that hooks know it by; null: hooks are not told of it. */
export function classified(kind: string, uid: number | null): { readonly event: HookEvent; readonly class: HookClass } | null {
  // An operator who takes a drive down knows it.
  const name = kind === 'drive' && uid === null ? 'drive-down' : kind;
  for (const [each, events] of Object.entries(classes) as [HookClass, readonly HookEvent[]][]) {
    const event = events.find((one) => one === name);
    if (event !== undefined) return { event, class: each };
  }
  return null;
}
