/** Lists of referrers under a tag are read and written back: one at a time, or one entry of two is lost. */
import { Semaphore } from '../io/concurrency.js';

/** The process's turns, by list: two clients may know the same repository. */
const turns = new Map<string, { readonly one: Semaphore; users: number }>();

/**
 * Runs `change` when no other change of the same list goes on in this process.
 *
 * @param list The registry, the repository and the subject.
 * @throws what `change` throws, or the signal's own reason
 */
export async function inListTurn<T>(
  list: string,
  signal: AbortSignal | undefined,
  change: () => Promise<T>,
): Promise<T> {
  const turn = turns.get(list) ?? { one: new Semaphore(1), users: 0 };
  turns.set(list, turn);
  turn.users += 1;
  try {
    const end = await turn.one.acquire(signal);
    return await change().finally(end);
  } finally {
    turn.users -= 1;
    if (turn.users === 0) turns.delete(list);
  }
}
