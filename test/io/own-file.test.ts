/** What stands in place of small files of ours is not read without end. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readRecord } from '../../src/content/blob-record.js';
import { readIngest } from '../../src/content/ingest-state.js';
import { mountLeases } from '../../src/content/mount-lease.js';
import { readOwn } from '../../src/io/own-file.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const MiB = 1024 * 1024;

test('pipes, devices and files that are too long read as empty', { skip: needs('mkfifo') }, (t) => {
  const folder = tempDir(t);
  const at = (name: string): string => join(folder, name);
  execFileSync('mkfifo', [at('pipe')]);
  symlinkSync('/dev/zero', at('device'));
  writeFileSync(at('long'), Buffer.alloc(4 * MiB + 1, 'x'));
  writeFileSync(at('endless'), '');
  truncateSync(at('endless'), 2 ** 40);
  for (const name of ['pipe', 'device', 'long', 'endless']) assert.equal(readOwn(at(name)), '', name);
  writeFileSync(at('small'), Buffer.alloc(4 * MiB, 'x'));
  assert.equal(readOwn(at('small')).length, 4 * MiB);
  mkdirSync(at('folder'));
  assert.throws(() => readOwn(at('folder')), { code: 'EISDIR' });
});

test('a device in place of a record, of the state of an ingest, or of a mount is none', async (t) => {
  const folder = tempDir(t);
  symlinkSync('/dev/zero', join(folder, 'state.json'));
  assert.equal(readRecord(join(folder, 'state.json')), undefined);
  assert.equal(await readIngest(folder), undefined);
  mkdirSync(join(folder, 'mounts'));
  symlinkSync('/dev/zero', join(folder, 'mounts', 'a.json'));
  assert.deepEqual(await mountLeases(folder), []);
});
