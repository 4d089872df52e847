/** A portal or a site in a registry's place: it takes whatever it is sent, answers 200 with a page, and keeps nothing. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { checkLogin } from '../../src/registry/check-login.js';
import { createRepository } from '../../src/registry/repository.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { scriptedRegistry } from '../support/scripted-registry.js';

const PAGE = { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '\n<html>Welcome</html>' };
const LOGIN = { username: 'me', password: 'secret' };

const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }));
const manifest = {
  mediaType: MediaType.ociIndex,
  digest: digestOf(bytes),
  size: bytes.length,
} as const;

test('what a page took was not pushed', async (t) => {
  const site = await scriptedRegistry(t, () => PAGE);
  const push = createRepository(`${site.host}/app`).push(manifest, Readable.from([bytes]));
  await assert.rejects(push, {
    code: 'ERR_REGISTRY',
    message: /answered with a web page instead of storing it; check/,
  });
});

test('a page is nobody to log in to', async (t) => {
  const site = await scriptedRegistry(t, () => PAGE);
  await assert.rejects(checkLogin(site.host, LOGIN), { code: 'ERR_REGISTRY', message: /a web page answered, no reg/ });
});

test('a registry that calls its answers pages is one', async (t) => {
  const headers = { 'content-type': 'text/html; charset=utf-8' };
  const registry = await scriptedRegistry(t, ({ method, url }) =>
    method === 'PUT'
      ? { status: 201, headers: { ...headers, location: url.pathname } }
      : { status: 200, headers, body: 'true' },
  );
  await checkLogin(registry.host, LOGIN);
  await createRepository(`${registry.host}/app`).push(manifest, Readable.from([bytes]));
});
