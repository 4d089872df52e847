/** The open directories from a root down to where work is done; moving on closes and opens only what differs. */
import type { Directory } from '../io/directory.js';

/** Mode of directories while a tree is being written: nobody else gets in before the real modes are set. */
export const WORKING_MODE = 0o700;

/** Walks from directory to directory below one root. Directories that are missing are made. Close it. */
export class DirectoryChain {
  readonly #root: Directory;
  readonly #names: string[] = [];
  readonly #open: Directory[] = [];

  /** The root stays the caller's. */
  constructor(root: Directory) {
    this.#root = root;
  }

  /**
   * Opens a directory, name by name, each without following a link. Valid until the next call.
   *
   * @param directory Its path from the root, empty for the root: bytes as latin1.
   */
  go(directory: string): Directory {
    const path = directory === '' ? [] : directory.split('/');
    let same = 0;
    while (same < path.length && same < this.#names.length && path[same] === this.#names[same]) same++;
    this.#closeTo(same);
    for (let depth = same; depth < path.length; depth++) {
      const name = path[depth] as string;
      const next = (this.#open.at(-1) ?? this.#root).ensureChild(name, WORKING_MODE);
      this.#open.push(next);
      this.#names.push(name);
    }
    return this.#open.at(-1) ?? this.#root;
  }

  close(): void {
    this.#closeTo(0);
  }

  #closeTo(depth: number): void {
    while (this.#open.length > depth) this.#open.pop()?.close();
    this.#names.length = depth;
  }
}
