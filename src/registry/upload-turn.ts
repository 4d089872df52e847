/** How many uploads a registry gets at a time. */
import { Semaphore } from '../io/concurrency.js';
import { isRepeatable } from './upload-content.js';

/** The process's turns, by registry and limit, as its connections are. */
const turns = new Map<string, Semaphore>();

/**
 * Waits until an upload may begin: as many as there may be connections, for each registry.
 *
 * Content that is open already waits for nobody. What it holds open may be the very connection that those before it
 * wait for; whoever opened it has said how many there are at a time.
 *
 * @param limit `maxConnectionsPerHost`.
 * @returns a function that ends the turn
 */
export async function uploadTurn(
  registry: string,
  limit: number,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<() => void> {
  if (!isRepeatable(content)) return () => undefined;
  const key = `${limit} ${registry}`;
  const known = turns.get(key) ?? new Semaphore(limit);
  turns.set(key, known);
  return known.acquire(signal);
}
