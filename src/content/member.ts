/** The files of an archive or a folder that is about to be written: their names, and where their bytes come from. */
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';

/** One file. */
export interface Member {
  /** Path from the archive's root, with `/`, without `..`; ASCII. */
  readonly name: string;
  /** The bytes themselves, or what a source has them under. */
  readonly content: Uint8Array | Descriptor;
}

/** The name of a blob in an archive or a folder that holds an OCI layout. */
export function archivedBlob(digest: Digest): string {
  const { algorithm, encoded } = requireVerifiable(digest);
  return `blobs/${algorithm}/${encoded}`;
}

/** How many bytes a file will have. */
export function memberBytes({ content }: Member): number {
  return content instanceof Uint8Array ? content.byteLength : content.size;
}

/** The folders above the files, each once, outer ones first, in the order in which they are needed; without a slash at the end. */
export function memberFolders(members: readonly Member[]): readonly string[] {
  const folders = new Set<string>();
  for (const { name } of members) {
    const parts = name.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) folders.add(parts.slice(0, depth).join('/'));
  }
  return [...folders];
}
