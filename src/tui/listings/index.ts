/** The list of each screen. */
import type { AnyListing } from '../listing.ts';
import type { ListId } from '../screens.ts';
import { groupListings, type Grouping } from './groups.ts';
import { drives, volumes } from './media.ts';
import { blocked, failed, requests } from './requests.ts';
import { events, jobs } from './work.ts';

const listings: Readonly<Record<ListId, AnyListing>> = { tapes: groupListings.tape, requests, blocked, drives, volumes, jobs, failed, events };

/** Screens whose rows can be taken together. */
export const canGroup = (screen: ListId): boolean => screen === 'requests' || screen === 'blocked';

export const listingOf = (screen: ListId, group: Grouping): AnyListing => (canGroup(screen) && group !== 'none' ? groupListings[group] : listings[screen]);
