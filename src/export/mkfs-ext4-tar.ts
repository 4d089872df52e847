/** Whether the `mke2fs` that is here reads a tar: its version alone does not tell, since libarchive is loaded at run time. */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { endOfArchive } from '../tar/block.js';
import { encodeHeader } from '../tar/write-header.js';
import { type FoundTool, runTool } from './mkfs-tool.js';

/** libarchive converts names to the characters of the locale, and fails where those cannot say them. */
export const TAR_ENVIRONMENT: Readonly<Record<string, string>> = { LC_ALL: 'C.UTF-8', LANGUAGE: '' };

/** Blocks of 1 KiB of an image that is thrown away. */
const TRIAL_BLOCKS = '256';

/**
 * Tries it, with what older versions, ones built without libarchive, and systems without the locale fail at: a tar from
 * stdin with a name that only a PAX record can say.
 *
 * @param scratch A folder for the image of the trial.
 * @throws the signal's reason
 */
export async function readsTar(tool: FoundTool, scratch: string, signal: AbortSignal | undefined): Promise<boolean> {
  const name = Buffer.from('ä'.repeat(120)).toString('latin1');
  const header = encodeHeader({
    name,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
  });
  const args = ['-q', '-F', '-t', 'ext2', '-b', '1024', '-d', '-', join(scratch, 'trial'), TRIAL_BLOCKS];
  const input = Readable.from([header, endOfArchive()]);
  try {
    await runTool(tool, args, { input, env: TAR_ENVIRONMENT, signal });
    return true;
  } catch (error) {
    if (error instanceof RootfsError) return false;
    throw error;
  }
}
