import { closings, completes, drained, kills, leftovers, views } from './checks/aftermath.ts';
import { endedVersions } from './checks/ended-versions.ts';
import type { Evidence, Violation } from './checks/evidence.ts';
import { decidedInTime, steady } from './checks/in-time.ts';
import { decisions, firstRecordStays, records } from './checks/ledger.ts';
import {
  attemptsInOrder,
  claimedVersions,
  neverEarly,
  notAfterItsEnd,
  oneOrAll,
  overlaps,
  ownLane,
  placed,
  startsOnce,
  withinCapacity,
} from './checks/starts.ts';

export type { Evidence, Violation } from './checks/evidence.ts';

/**
 * Holds what the processes did, what was committed and what History says against the promises. The processes' own stamps
 * are the truth; an empty answer says that every promise was kept.
 */
export function check(evidence: Evidence): Violation[] {
  return [
    ...startsOnce(evidence),
    ...attemptsInOrder(evidence),
    ...notAfterItsEnd(evidence),
    ...firstRecordStays(evidence),
    ...neverEarly(evidence),
    ...claimedVersions(evidence),
    ...overlaps(evidence),
    ...records(evidence),
    ...decisions(evidence),
    ...endedVersions(evidence),
    ...steady(evidence),
    ...kills(evidence),
    ...completes(evidence),
    ...leftovers(evidence),
    ...drained(evidence),
    ...closings(evidence),
    ...placed(evidence),
    ...ownLane(evidence),
    ...oneOrAll(evidence),
    ...withinCapacity(evidence),
    ...decidedInTime(evidence),
    ...views(evidence),
  ];
}
