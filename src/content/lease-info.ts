/** What is known of a lease, and what its file is called. */
import type { ProcessMark } from '../io/process-mark.js';
import type { Digest } from '../spec/digest.js';

/** A lease that is in force. Moments are milliseconds since the epoch. */
export interface LeaseInfo {
  readonly id: string;
  readonly purpose: string;
  readonly host: string;
  readonly pid: number;
  readonly digests: readonly Digest[];
  /** Whatever came in since `createdAt` is used too. */
  readonly open: boolean;
  readonly createdAt: number;
  /** Absent for a lease that does not end by itself. */
  readonly expiresAt?: number | undefined;
}

/** Whether a file has the name of a lease, or of one that is being written. Others in their folder are none of ours. */
export function isLeaseFile(name: string): boolean {
  return /^[0-9a-f]{8}-\d+-\d+-[0-9a-f]{12}\.json(?:\.[0-9a-f]{8}\.tmp)?$/.test(name);
}

/**
 * Who writes a lease that does not have its name yet. Where that process died it never will, and keeps nothing;
 * `undefined` for other names.
 */
export function unfinishedMark(name: string): ProcessMark | undefined {
  return isLeaseFile(name) && name.endsWith('.tmp') ? name.split('-', 3).join('-') : undefined;
}
