/** The root file systems that commands keep beside the layers they made them from: what they are, and how large. */
import { type Dirent, lstatSync, type Stats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A root file system that is kept in a store of layers, ready to be used again. */
export interface KeptForm {
  /** A name of `FORMS`: `overlay`, `erofs`, `directory`, `tar`, `bundle`. */
  readonly form: string;
  readonly path: string;
  /** Bytes of all its files. What may not be looked at counts as none. */
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** The folders that `prepareRootfs`, `overlay` and `mount` make in a store. */
const FOLDERS = ['bundle', 'directory', 'erofs', 'overlay', 'tar'] as const;

const RECORD = /\.(?:json|lock|ownership)$/;

/**
 * What is kept in a store: in a folder for each form, or in one for each who wrote it below that. What is being written
 * is left out. Nothing is opened, and no link followed.
 */
export async function keptForms(store: string): Promise<readonly KeptForm[]> {
  const found: KeptForm[] = [];
  for (const form of FOLDERS) {
    for (const path of await places(join(store, form))) {
      found.push({
        form,
        path,
        bytes: await bytesBelow(path, new Set()),
        createdAt: Math.floor(look(path)?.mtimeMs ?? 0),
      });
    }
  }
  return found;
}

async function places(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await entries(folder)) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) found.push(path);
    else for (const { name } of await entries(path)) found.push(join(path, name));
  }
  return found;
}

/** Hidden names are of who is writing; records and locks are no root file systems. */
async function entries(folder: string): Promise<readonly Dirent[]> {
  const all = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return all.filter(({ name }) => !name.startsWith('.') && !RECORD.test(name));
}

/** @param seen Files with several names, which count once. */
async function bytesBelow(path: string, seen: Set<string>): Promise<number> {
  const found = look(path);
  if (found?.isDirectory() !== true) {
    if (found?.isFile() !== true) return 0;
    const file = `${found.dev}:${found.ino}`;
    if (found.nlink > 1 && seen.has(file)) return 0;
    seen.add(file);
    return found.size;
  }
  let sum = 0;
  const names = await readdir(path).catch(() => []);
  for (const name of names) sum += await bytesBelow(join(path, name), seen);
  return sum;
}

/** What is gone meanwhile, or somebody else's, is passed over. */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
