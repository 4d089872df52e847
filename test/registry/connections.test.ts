import assert from 'node:assert/strict';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Connections } from '../../src/registry/connections.js';
import { createCertificate } from '../../src/testing/certificate.js';
import { tempDir } from '../support/temp-dir.js';

test('endpoints with equal TLS settings share a way out: authorities are read once for all of them', async (t) => {
  const caFile = join(tempDir(t), 'ca.pem');
  const authority = createCertificate().cert;
  writeFileSync(caFile, authority);
  const connections = new Connections({
    caFile,
    tlsVerify: undefined,
    timeoutMs: 1000,
    maxConnectionsPerHost: 2,
    dispatcher: undefined,
  });
  const url = new URL('https://mirror.example/');
  const first = await connections.dispatcher(url, { skipVerify: true }, false);
  // Who reads it again fails.
  unlinkSync(caFile);
  assert.equal(await connections.dispatcher(url, { skipVerify: true }, false), first);
  for (const other of [undefined, { skipVerify: false }, { ca: [authority] }]) {
    await assert.rejects(connections.dispatcher(url, other, false), { code: 'ERR_FILESYSTEM' });
  }
});
