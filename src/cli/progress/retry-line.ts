/** What people read when a request is tried again. */
import type { ProgressEvent } from '../../index.js';

/** One line; a reason that begins with the subject already does not get it twice. */
export function retryLine(event: Extract<ProgressEvent, { readonly type: 'request:retried' }>): string {
  const { subject, reason, attempt, waitMs } = event;
  const told = reason.startsWith(`${subject}: `) ? reason : `${subject}: ${reason}`;
  return `${told}; attempt ${attempt} in ${Math.round(waitMs / 100) / 10} s`;
}
