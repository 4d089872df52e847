/**
 * An image as skopeo's `dir:` has it: `manifest.json`, `version`, and each blob under the encoded part of its digest.
 *
 * @see https://github.com/containers/image/blob/v5.29.0/docs/containers-transports.5.md
 */
import type { Member } from '../content/member.js';
import { requireVerifiable } from '../spec/digest.js';
import type { ArchiveRoot } from './archive-members.js';

/** The files of such a folder. */
export function dirMembers({ root, documents, blobs }: ArchiveRoot): readonly Member[] {
  const below = documents.filter(({ descriptor }) => descriptor.digest !== root.descriptor.digest);
  return [
    { name: 'version', content: Buffer.from('Directory Transport Version: 1.1\n') },
    { name: 'manifest.json', content: root.bytes },
    ...below.map(({ descriptor, bytes }) => ({
      name: `${requireVerifiable(descriptor.digest).encoded}.manifest.json`,
      content: bytes,
    })),
    ...unique(blobs.map((content) => ({ name: requireVerifiable(content.digest).encoded, content }))),
  ];
}

function unique(members: readonly Member[]): readonly Member[] {
  return [...new Map(members.map((member) => [member.name, member])).values()];
}
