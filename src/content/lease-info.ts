/** What is known of a lease. */
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
