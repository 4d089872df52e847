/** Redirects, and what must not go along. */
import assert from 'node:assert/strict';
import { big, blobFault, type Case, PULL, runCases, SECRET, size, user, users } from '../support/fault-case.js';

runCases('Redirects, and what must not go along', [
  ...[301, 302, 303, 307, 308].map(
    (status): Case => ({
      name: `the blob is redirected by ${status} to another origin, without the token`,
      server: { auth: { kind: 'bearer', users } },
      credential: user,
      faults: [{ on: 'blob', do: 'redirect', status }],
      ends: 'whole',
      requests: PULL + 5,
    }),
  ),
  {
    name: 'the blob is redirected within its origin',
    faults: [{ on: 'blob', do: 'redirect', to: 'relative' }],
    ends: 'whole',
    requests: PULL + 3,
  },
  {
    name: 'the manifest is redirected to another origin',
    faults: [{ on: 'manifest', do: 'redirect' }],
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'ten redirects are followed',
    faults: blobFault({ on: 'blob', do: 'redirect', hops: 10 }),
    ends: 'whole',
    requests: PULL + 10,
  },
  {
    name: 'eleven redirects are not',
    faults: blobFault({ on: 'blob', do: 'redirect', hops: 11 }),
    ends: 'ERR_REGISTRY',
    requests: PULL + 10,
    message: /more than 10 redirects/,
  },
  {
    name: 'redirects in a loop end',
    faults: blobFault({ on: 'blob', do: 'redirect', to: 'loop' }),
    ends: 'ERR_REGISTRY',
    requests: PULL + 10,
  },
  {
    name: 'a redirect says not where to',
    faults: blobFault({ on: 'blob', do: 'redirect', to: { location: null } }),
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'a redirect leads to a file',
    faults: blobFault({ on: 'blob', do: 'redirect', to: { location: 'file:///etc/passwd' } }),
    ends: 'ERR_REGISTRY',
    message: /only http and https/,
  },
  {
    name: 'a redirect is no URL',
    faults: blobFault({ on: 'blob', do: 'redirect', to: { location: 'http://[' } }),
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'a redirect brings a password',
    faults: blobFault({ on: 'blob', do: 'redirect', to: { location: 'http://a:b@127.0.0.1/' } }),
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'a redirect leads from https down to http',
    server: { tls: 'self-signed' },
    client: { plainHttp: false, tlsVerify: false },
    faults: blobFault({ on: 'blob', do: 'redirect', to: 'plain-http' }),
    ends: 'ERR_REGISTRY',
    message: /from https down to plain http/,
  },
  {
    name: 'a redirected blob is cut: the registry is asked again',
    faults: [
      { on: 'blob', do: 'redirect' },
      { on: 'storage', reference: big.descriptor.digest, times: 2, do: 'cut', after: 100_000 },
    ],
    ends: 'whole',
    requests: PULL + 7,
    bytes: size * 1.05,
  },
  {
    name: 'the second origin fails',
    faults: [
      { on: 'blob', do: 'redirect' },
      { on: 'storage', do: 'answer', status: 503 },
    ],
    ends: 'ERR_REGISTRY',
    requests: 7,
  },
  {
    name: "the user's own headers do not cross origins",
    client: { headers: { 'x-api-key': SECRET } },
    faults: [{ on: 'blob', do: 'redirect' }],
    ends: 'whole',
    requests: PULL + 3,
    also: ({ registry }) => {
      for (const { origin, headers } of registry.log.requests)
        assert.equal(headers['x-api-key'], origin === 'registry' ? SECRET : undefined);
    },
  },
]);
