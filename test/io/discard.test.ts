/** Sources that fail before anybody reads them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openArchiveFile } from '../../src/content/archive-file.js';
import { discardOnError } from '../../src/io/discard.js';
import { createRepository } from '../../src/registry/repository.js';
import { describe, startRegistry } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';

test('a stream that fails before it is read is heard by whoever reads it then, and ends nothing else', async () => {
  const source = new Readable({ read() {} });
  const failure = new Error('broken');
  const work = discardOnError(source, async () => {
    source.destroy(failure);
    await sleep(10);
    for await (const _ of source) assert.fail('nothing came');
  });
  await assert.rejects(work, (error) => error === failure);
});

test('a file that cannot be opened fails a push and a spool, not the process', async (t) => {
  const absent = join(tempDir(t), 'absent');
  await using registry = await startRegistry();
  const repository = await createRepository(`${registry.host}/team/app`);
  const target = describe('application/x.blob', Buffer.from('hello'));
  await assert.rejects(repository.push(target, createReadStream(absent)), { code: 'ENOENT' });
  const temporaryFolder = tempDir(t);
  const spooled = openArchiveFile('-', { stdin: createReadStream(absent), temporaryFolder });
  await assert.rejects(spooled, { code: 'ERR_FILESYSTEM' });
});

test('a source is ended also where its copy has no place', async () => {
  const source = new Readable({ read() {} });
  const closed = once(source, 'close');
  await assert.rejects(openArchiveFile('-', { stdin: source, temporaryFolder: '' }), { code: 'ERR_OPTION_INVALID' });
  await closed;
});
