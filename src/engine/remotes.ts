/** The repositories that a cache has to do with: each opened once, the latest first. */
import type { ReadOnlyTarget } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { partFailure, wrongAnswer } from '../io/part-error.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Reference } from '../spec/reference.js';
import { RemoteDocuments } from './remote-documents.js';

/** Opens the repository that a reference names. Called once for each repository. */
export type RepositoryFactory = (reference: Reference) => ReadOnlyTarget | Promise<ReadOnlyTarget>;

/** How many repositories are remembered for content of which nobody says where it belongs. */
const MAX_REMOTES = 64;

/** How many of these may fail before the first failure is told: a dead network is one for all, and each takes its time. */
const MAX_FAILURES = 4;

/** Opened repositories by registry and path. */
export class Remotes {
  readonly #factory: RepositoryFactory;
  readonly #opened = new Map<string, Promise<RemoteDocuments>>();
  /** Those of them that are open by now. */
  readonly #ready = new Map<string, RemoteDocuments>();

  constructor(factory: RepositoryFactory) {
    this.#factory = factory;
  }

  /** The repository of a reference; it is the latest now. One that could not be opened is tried again the next time. */
  open(reference: Reference): Promise<RemoteDocuments> {
    const place = placeOf(reference);
    const known = this.#opened.get(place);
    const remote = known ?? this.#open(reference);
    // Whoever asks it hears of its failure.
    if (known === undefined) remote.catch(() => this.#opened.delete(place));
    this.#opened.delete(place);
    for (const oldest of this.#opened.keys()) {
      if (this.#opened.size < MAX_REMOTES) break;
      this.#opened.delete(oldest);
      this.#ready.delete(oldest);
    }
    this.#opened.set(place, remote);
    return remote;
  }

  /** The repository of that place, if it was opened. */
  at(place: string | undefined): Promise<RemoteDocuments> | undefined {
    return place === undefined ? undefined : this.#opened.get(place);
  }

  /** All of them, the latest first. */
  latestFirst(): readonly Promise<RemoteDocuments>[] {
    return [...this.#opened.values()].reverse();
  }

  /** Tells all of them that content was wrong. @returns whether one of them asks elsewhere for it from now on */
  distrust(target: Descriptor): boolean {
    return [...this.#ready.values()].filter((remote) => remote.distrust(target)).length > 0;
  }

  async #open(reference: Reference): Promise<RemoteDocuments> {
    const place = placeOf(reference);
    const part = `the factory of ${place}`;
    let remote: ReadOnlyTarget;
    try {
      remote = await this.#factory(reference);
    } catch (error) {
      throw partFailure(part, error);
    }
    if (typeof remote?.resolve !== 'function') throw wrongAnswer(part, 'something to read images from', remote);
    const opened = new RemoteDocuments(remote);
    if (this.#opened.has(place)) this.#ready.set(place, opened);
    return opened;
  }
}

/**
 * Asks one repository after the other until one has an answer. What one of them refuses, or fails with, says nothing of
 * the next, but for `MAX_FAILURES` of them.
 *
 * @returns `undefined` where none has one
 * @throws the first failure where none has an answer, one that is more than an absence before others; the signal's reason
 */
export async function firstAnswer<T>(
  remotes: readonly Promise<ReadOnlyTarget>[],
  ask: (remote: ReadOnlyTarget) => Promise<T | undefined>,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  let absence: unknown;
  const failures: unknown[] = [];
  for (const remote of remotes) {
    if (failures.length >= MAX_FAILURES) break;
    try {
      const answer = await ask(await untilAborted(remote, signal));
      if (answer !== undefined) return answer;
    } catch (error) {
      throwIfAborted(signal);
      if (isAbsence(error)) absence ??= error;
      else failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  if (absence !== undefined) throw absence;
  return undefined;
}

/** Whether an error says that content is not where it was looked for. */
export function isAbsence(error: unknown): boolean {
  return error instanceof RootfsError && error.code === 'ERR_NOT_FOUND';
}

/** Registry and path: what one repository is known by. */
export function placeOf({ registry, repository }: Reference): string {
  return `${registry}/${repository}`;
}
