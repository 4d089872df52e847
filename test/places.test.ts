import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isStream, splitDestination, splitPath } from '../src/places.js';
import { tempDir } from './support/temp-dir.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('a path, and behind its first colon a name, a digest or both', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'image.tar');
  for (const reference of [
    'v1',
    'localhost:5000/a/b:v1',
    '@0',
    DIGEST,
    `@${DIGEST}`,
    `app@${DIGEST}`,
    `localhost:5000/a/b:v1@${DIGEST}`,
  ]) {
    assert.deepEqual(await splitPath(`${path}:${reference}`), { path, reference }, reference);
  }
  assert.deepEqual(await splitPath(path), { path, reference: undefined });
  assert.deepEqual(await splitPath(`${path}/user@host:tag`), { path: `${path}/user@host`, reference: 'tag' });
  const unknown = `sha384:${'a'.repeat(96)}`;
  assert.deepEqual(await splitPath(`${path}@${unknown}`), { path, reference: unknown });
  assert.deepEqual(await splitPath(`${path}@${DIGEST}`), { path, reference: DIGEST });
});

test('a path that is there as it stands keeps its colons, before a digest too', async (t) => {
  const folder = tempDir(t);
  const file = join(folder, 'a:b.tar');
  const layout = join(folder, 'c:d');
  writeFileSync(file, '');
  mkdirSync(layout);
  for (const path of [file, layout]) {
    assert.deepEqual(await splitPath(path), { path, reference: undefined });
    assert.deepEqual(await splitPath(`${path}@${DIGEST}`), { path, reference: DIGEST });
  }
});

test('a destination has no digest, with or without a name before it', async (t) => {
  const path = join(tempDir(t), 'layout');
  assert.deepEqual(await splitDestination('oci', `${path}:v1`), { path, reference: 'v1' });
  for (const rest of [`${path}@${DIGEST}`, `${path}:${DIGEST}`, `${path}:@${DIGEST}`, `${path}:app:v1@${DIGEST}`]) {
    await assert.rejects(
      splitDestination('oci', rest),
      { code: 'ERR_REFERENCE_INVALID', message: /leave the digest out/ },
      rest,
    );
  }
});

test('an archive is a stream by whatever name its image is asked for', async () => {
  for (const text of [
    'docker-archive:-',
    'oci-archive:-:v1',
    `oci-archive:-@${DIGEST}`,
    `docker-archive:-:app@${DIGEST}`,
  ]) {
    assert.equal(isStream(text), true, text);
    assert.equal((await splitPath(text.slice(text.indexOf(':') + 1))).path, '-');
  }
  for (const text of ['docker-archive:./-', 'docker-archive:-x', 'oci:-', '-', 'docker-archive:-@0']) {
    assert.equal(isStream(text), false, text);
  }
});
