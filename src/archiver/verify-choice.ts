/** Which containers a verification reads: by age, and a sample of those. */
import type { ContainerRow } from '../catalog/model.ts';

export interface VerifyChoice {
  /** Only containers that were not verified since, ms since the epoch. */
  readonly notSince: number | null;
  /** A part of the containers (0 to 1), or so many of them. */
  readonly sample: { readonly part: number } | { readonly count: number } | null;
}

/** In the order given. A sample is never empty where there is something to choose from. */
export function chooseContainers<Container extends Pick<ContainerRow, 'state' | 'verifiedAt'>>(containers: readonly Container[], { notSince, sample }: VerifyChoice, random: () => number = Math.random): Container[] {
  const due = containers.filter(({ state, verifiedAt }) => (state === 'closed' || state === 'truncated') && (notSince === null || verifiedAt === null || verifiedAt < notSince));
  if (sample === null) return due;
  const wanted = 'count' in sample ? sample.count : Math.ceil(due.length * sample.part);
  // Of each the chance that it is among those that are still wanted.
  let left = Math.min(wanted, due.length);
  return due.filter((_, i) => {
    const isTaken = random() * (due.length - i) < left;
    if (isTaken) left -= 1;
    return isTaken;
  });
}
