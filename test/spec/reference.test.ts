/** References: every case of distribution/reference's published tables as data, and what the dialect says beside them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, RootfsError } from '../../src/errors.js';
import {
  apiHost,
  credentialKey,
  familiarReference,
  formatReference,
  isLoopbackHost,
  normalizeReference,
  parseReference,
  splitImage,
} from '../../src/spec/reference.js';

const F64 = 'f'.repeat(64);
const HEX = '1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a';

function code(act: () => unknown): ErrorCode | 'none' {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof RootfsError, String(error));
    return error.code;
  }
  return 'none';
}

/** Text, registry, repository, tag, digest. */
const PARSES: readonly (readonly [string, string, string, (string | undefined)?, string?])[] = [
  ['test_com', 'docker.io', 'library/test_com', 'latest'],
  ['test.com:tag', 'docker.io', 'library/test.com', 'tag'],
  ['test.com:5000', 'docker.io', 'library/test.com', '5000'],
  ['test.com/repo:tag', 'test.com', 'repo', 'tag'],
  ['test:5000/repo', 'test:5000', 'repo', 'latest'],
  ['test:5000/repo:tag', 'test:5000', 'repo', 'tag'],
  ['test:005000/repo', 'test:005000', 'repo', 'latest'],
  [`test:5000/repo@sha256:${F64}`, 'test:5000', 'repo', undefined, `sha256:${F64}`],
  [`test:5000/repo:tag@sha256:${F64}`, 'test:5000', 'repo', 'tag', `sha256:${F64}`],
  [`name@sha512:${F64}${F64}`, 'docker.io', 'library/name', undefined, `sha512:${F64}${F64}`],
  ['lowercase:Uppercase', 'docker.io', 'library/lowercase', 'Uppercase'],
  [`${'a/'.repeat(127)}a:tag-puts-this-over-max`, 'docker.io', `${'a/'.repeat(127)}a`, 'tag-puts-this-over-max'],
  ['sub-dom1.foo.com/bar/baz/quux', 'sub-dom1.foo.com', 'bar/baz/quux', 'latest'],
  ['sub-dom1.foo.com/bar/baz/quux:some-long-tag', 'sub-dom1.foo.com', 'bar/baz/quux', 'some-long-tag'],
  ['b.gcr.io/test.example.com/my-app:test.example.com', 'b.gcr.io', 'test.example.com/my-app', 'test.example.com'],
  ['xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com', 'myimage', 'xn--n3h.com'],
  [`xn--7o8h.com/myimage:xn--7o8h.com@sha256:${F64}`, 'xn--7o8h.com', 'myimage', 'xn--7o8h.com', `sha256:${F64}`],
  ['foo_bar.com:8080', 'docker.io', 'library/foo_bar.com', '8080'],
  ['foo/foo_bar.com:8080', 'docker.io', 'foo/foo_bar.com', '8080'],
  ['192.168.1.1', 'docker.io', 'library/192.168.1.1', 'latest'],
  ['192.168.1.1:tag', 'docker.io', 'library/192.168.1.1', 'tag'],
  ['192.168.1.1:5000', 'docker.io', 'library/192.168.1.1', '5000'],
  ['192.168.1.1/repo', '192.168.1.1', 'repo', 'latest'],
  ['192.168.1.1:5000/repo', '192.168.1.1:5000', 'repo', 'latest'],
  ['192.168.1.1:5000/repo:5050', '192.168.1.1:5000', 'repo', '5050'],
  ['192.168.0.1:80', 'docker.io', 'library/192.168.0.1', '80'],
  ['192.168.0.1:8/debian', '192.168.0.1:8', 'debian', 'latest'],
  ['192.168.0.2:25000/debian', '192.168.0.2:25000', 'debian', 'latest'],
  ['[2001:db8::1]/repo', '[2001:db8::1]', 'repo', 'latest'],
  ['[2001:db8:1:2:3:4:5:6]/repo:tag', '[2001:db8:1:2:3:4:5:6]', 'repo', 'tag'],
  ['[2001:db8::1]:5000/repo', '[2001:db8::1]:5000', 'repo', 'latest'],
  ['[2001:db8::1]:5000/repo:tag', '[2001:db8::1]:5000', 'repo', 'tag'],
  [`[2001:db8::1]:5000/repo@sha256:${F64}`, '[2001:db8::1]:5000', 'repo', undefined, `sha256:${F64}`],
  [`[2001:db8::1]:5000/repo:tag@sha256:${F64}`, '[2001:db8::1]:5000', 'repo', 'tag', `sha256:${F64}`],
  ['[2001:db8::]:5000/repo', '[2001:db8::]:5000', 'repo', 'latest'],
  ['[::1]:5000/repo', '[::1]:5000', 'repo', 'latest'],
  ['[fc00::1]:5000/docker/docker', '[fc00::1]:5000', 'docker/docker', 'latest'],
  ['[fc00:1:2:3:4:5:6:7]:5000/library/debian', '[fc00:1:2:3:4:5:6:7]:5000', 'library/debian', 'latest'],
  [`example.com/${'a'.repeat(255)}:tag`, 'example.com', 'a'.repeat(255), 'tag'],
  ['docker/docker', 'docker.io', 'docker/docker', 'latest'],
  ['library/debian', 'docker.io', 'library/debian', 'latest'],
  ['debian', 'docker.io', 'library/debian', 'latest'],
  ['localhost', 'docker.io', 'library/localhost', 'latest'],
  ['localhost:8080', 'docker.io', 'library/localhost', '8080'],
  [`localhost:8080@sha256:${F64}`, 'docker.io', 'library/localhost', '8080', `sha256:${F64}`],
  [`localhost@sha256:${F64}`, 'docker.io', 'library/localhost', undefined, `sha256:${F64}`],
  [`localhost:8080/name@sha256:${F64}`, 'localhost:8080', 'name', undefined, `sha256:${F64}`],
  ['localhost/library/debian', 'localhost', 'library/debian', 'latest'],
  ['localhost/debian', 'localhost', 'debian', 'latest'],
  ['LOCALDOMAIN/library/debian', 'LOCALDOMAIN', 'library/debian', 'latest'],
  ['LOCALDOMAIN/debian', 'LOCALDOMAIN', 'debian', 'latest'],
  ['docker.io/docker/docker', 'docker.io', 'docker/docker', 'latest'],
  ['docker.io/library/debian', 'docker.io', 'library/debian', 'latest'],
  ['docker.io/debian', 'docker.io', 'library/debian', 'latest'],
  ['index.docker.io/docker/docker', 'docker.io', 'docker/docker', 'latest'],
  ['index.docker.io/library/debian', 'docker.io', 'library/debian', 'latest'],
  ['index.docker.io/debian', 'docker.io', 'library/debian', 'latest'],
  ['docker.io/library/foo/bar', 'docker.io', 'library/foo/bar', 'latest'],
  ['127.0.0.1:5000/docker/docker', '127.0.0.1:5000', 'docker/docker', 'latest'],
  ['127.0.0.1:5000/debian', '127.0.0.1:5000', 'debian', 'latest'],
  [
    'thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev',
    'docker.io',
    'library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev',
    'latest',
  ],
  [`docker.io/${HEX}`, 'docker.io', `library/${HEX}`, 'latest'],
  [HEX.slice(1), 'docker.io', `library/${HEX.slice(1)}`, 'latest'],
  [`${HEX}:latest`, 'docker.io', `library/${HEX}`, 'latest'],
  ['dbcc1', 'docker.io', 'library/dbcc1', 'latest'],
  ['Docker/docker', 'Docker', 'docker', 'latest'],
  ['DOCKER/docker', 'DOCKER', 'docker', 'latest'],
  ['Asdf.com/foo/bar', 'Asdf.com', 'foo/bar', 'latest'],
  ['docker-rules/docker', 'docker.io', 'docker-rules/docker', 'latest'],
  ['docker---rules/docker', 'docker.io', 'docker---rules/docker', 'latest'],
  ['d/docker', 'docker.io', 'd/docker', 'latest'],
  ['dock__er/docker', 'docker.io', 'dock__er/docker', 'latest'],
  ['do__cker/docker', 'docker.io', 'do__cker/docker', 'latest'],
  ['test-com:8080/foo', 'test-com:8080', 'foo', 'latest'],
  ['foo.com/foo_bar', 'foo.com', 'foo_bar', 'latest'],
  [
    'registry.io/foo/project--id.module--name.ver---sion--name',
    'registry.io',
    'foo/project--id.module--name.ver---sion--name',
    'latest',
  ],
  ['example.com/some_separator__underscore/myimage', 'example.com', 'some_separator__underscore/myimage', 'latest'],
  ['foo.bar', 'docker.io', 'library/foo.bar', 'latest'],
  ['a', 'docker.io', 'library/a', 'latest'],
  [`x:${'t'.repeat(128)}`, 'docker.io', 'library/x', 't'.repeat(128)],
  ['x:_tag', 'docker.io', 'library/x', '_tag'],
  ['registry.k8s.io/pause:3.9', 'registry.k8s.io', 'pause', '3.9'],
];

test('references parse as Docker reads them', () => {
  for (const [given, registry, repository, tag, digest] of PARSES) {
    assert.deepEqual(
      parseReference(given),
      { registry, repository, ...(tag && { tag }), ...(digest && { digest }), given },
      given,
    );
  }
});

/** Text, a part of the message, the code where it is another than ERR_REFERENCE_INVALID. */
const REFUSED: readonly (readonly [string, RegExp, ErrorCode?])[] = [
  ['', /it is empty/],
  [':justtag', /repository name is missing/],
  [`@sha256:${F64}`, /repository name is missing/],
  [`repo@sha256:${'f'.repeat(34)}`, /64 lower-case hex/, 'ERR_DIGEST_INVALID'],
  ['registry.com:8080/myapp@sha256:badbadbadbad', /64 lower-case hex/, 'ERR_DIGEST_INVALID'],
  ['registry.com:8080/myapp@bad', /not a digest/, 'ERR_DIGEST_INVALID'],
  ['registry.com:8080/myapp@2bad', /not a digest/, 'ERR_DIGEST_INVALID'],
  [`repo@sha256:${F64.toUpperCase()}`, /64 lower-case hex/, 'ERR_DIGEST_INVALID'],
  [`repo@SHA256:${F64}`, /not a digest/, 'ERR_DIGEST_INVALID'],
  [`repo@sha256:../../etc/passwd`, /not a digest/, 'ERR_DIGEST_INVALID'],
  [`validname@invaliddigest:${F64}`, /cannot be verified/, 'ERR_DIGEST_UNSUPPORTED'],
  // No algorithm, but what every object has.
  [`validname@constructor:${F64}`, /cannot be verified/, 'ERR_DIGEST_UNSUPPORTED'],
  [`repo@sha256:${F64}@sha256:${F64}`, /more than one @/],
  ['Uppercase:tag', /lower case; try "uppercase:tag"/],
  ['test:5000/Uppercase/lowercase:tag', /lower case; try "test:5000\/uppercase\/lowercase:tag"/],
  ['docker/Docker', /lower case; try "docker\/docker"/],
  ['docker.io/docker/Docker', /lower case/],
  ['Foo/FarB', /lower case/],
  [`domain/${'a'.repeat(256)}:tag`, /263 characters; at most 255/],
  [`example.com/${'a'.repeat(256)}`, /256 characters; at most 255/],
  ['aa/asdf$$^/aa', /"asdf\$\$\^" cannot be part/],
  ['asdf$$^/aa', /cannot be part/],
  ['a^a', /cannot be part/],
  ['[2001:db8::1]', /host is followed by/],
  ['[2001:db8::1]:5000', /host is followed by/],
  ['[2001:db8::1]:tag', /host is followed by/],
  ['[fc00::1]', /host is followed by/],
  ['[fe80::1%eth0]:5000/repo', /not a host name/],
  ['[fe80::1%@invalidzone]:5000/repo', /is not an image reference/],
  ['fc00::1:5000/debian', /not a host name/],
  ['[2001:db8:3:4::192.0.2.33]:5000/debian', /not a host name/],
  ['[fd00:1:2::3]75050/x', /not a host name/],
  ['[fd00:1:2::3]::75050/x', /not a host name/],
  ['[fd00123123123]:7505/x', /not an IPv6 address/],
  ['[fd00:1:2::3]:75050/x', /port 75050 is over 65535/],
  ['192.168.1.1:750050/x', /port 750050 is over 65535/],
  ['https://github.com/docker/docker', /leave out https:\/\//],
  ['docker://alpine', /leave out docker:\/\//],
  ['-docker', /cannot be part/],
  ['-docker/docker', /cannot be part/],
  ['-docker.io/docker/docker', /not a host name/],
  ['docker///docker', /a part of the repository name is empty/],
  ['docker.io/docker///docker', /a part of the repository name is empty/],
  ['a//a/a', /a part of the repository name is empty/],
  ['a/a/a/a/', /a part of the repository name is empty/],
  ['foo.com/', /repository name is missing/],
  ['docker/', /a part of the repository name is empty/],
  ['/docker', /a part of the repository name is empty/],
  [HEX, /image ID/],
  [`sha256:${F64}`, /digest without a name; give name@sha256:/],
  ['$IMAGE', /"\$IMAGE" cannot be part of a repository name/],
  ['me:hunter2@host.example/app:v1', /^"…@host\.example\/app:v1" is not .* leave out what stands before @/],
  ['https://me:hunter2@host.example/app', /^"…@host\.example\/app" is not/],
  ['https://token@host.example/app', /^"…@host\.example\/app" is not/],
  ['me:hunt@er/2@host.example/app', /^"…@host\.example\/app" is not/],
  ['me:hunt/er2@host.example/app', /^"…@host\.example\/app" is not/],
  ['https://me:hunter2@host.example', /^"…@host\.example" is not/],
  ['docker-/docker', /cannot be part/],
  ['-docker-/docker', /cannot be part/],
  ['____/____', /cannot be part/],
  ['_docker/_docker', /cannot be part/],
  ['docker_/docker_', /cannot be part/],
  ['dock..er/docker', /not a host name/],
  ['dock_.er/docker', /not a host name/],
  ['dock-.er/docker', /not a host name/],
  ['ab.-com/x', /not a host name/],
  ['ab-.com/x', /not a host name/],
  ['ab.com-/x', /not a host name/],
  ['docker./docker', /not a host name/],
  ['.docker/docker', /not a host name/],
  ['do__cker:8080/docker', /not a host name/],
  ['bad_hostname.com:8080/myapp:tag', /not a host name/],
  ['foo_bar.com/app', /not a host name/],
  ['foo.com:http/bar', /not a host name/],
  ['test.com:http/x', /not a host name/],
  [`localhost:http/name@sha256:${F64}`, /not a host name/],
  ['example.com/__underscore/myimage', /cannot be part/],
  ['example.com/..dots/myimage', /cannot be part/],
  ['example.com/.dots/myimage', /cannot be part/],
  ['example.com/nodouble..dots/myimage', /cannot be part/],
  ['example.com/../../etc', /cannot be part/],
  ['foo/-bar', /cannot be part/],
  ['foo/bar-', /cannot be part/],
  ['registry.com:8080/myapp:invalid~tag', /"invalid~tag" is not a tag/],
  ['busybox:-foo', /not a tag/],
  ['busybox:.foo', /not a tag/],
  [`x:${'t'.repeat(129)}`, /129 characters; at most 128/],
  ['x:', /tag after : is empty/],
  ['x@', /digest after @ is empty/],
  ['x:a:b', /"a:b" is not a tag/],
  ['example.com/repo:tag/x', /is not an image reference/],
  [' alpine', /white space/],
  ['alpine\n', /white space/],
  ['alpine:3 20', /white space/],
  ['café', /cannot be part/],
  ['alpine\u0000', /cannot be part/],
  [`${'this_is_not_a_valid_namespace_because_its_lenth_is_greater_than_255_'.repeat(4)}x/docker`, /at most 255/],
  ['a'.repeat(5000), /at most 4096 are read/],
];

test('CVE-2025-22870, CVE-2025-47912, CVE-2026-25679 (Go): in brackets stands an address, and no zone or name', () => {
  for (const host of [
    '[::1%25.example.com]:80',
    '[fe80::1%eth0]',
    '[example.com]',
    '[::1',
    '[::1]x',
    '[127.0.0.1]',
    '[]',
  ]) {
    assert.throws(() => parseReference(`${host}/app`), { code: 'ERR_REFERENCE_INVALID' }, host);
  }
});

test('what is no reference is refused with a reason', () => {
  for (const [given, message, expected] of REFUSED) {
    assert.throws(
      () => parseReference(given),
      (error) =>
        error instanceof RootfsError &&
        error.code === (expected ?? 'ERR_REFERENCE_INVALID') &&
        (message.test(error.message) || assert.fail(`${given}: ${error.message}`)) &&
        !JSON.stringify(error).includes('hunter2'),
      given,
    );
    assert.notEqual(
      code(() => splitImage(given)),
      'none',
      given,
    );
  }
  assert.equal(
    code(() => parseReference(undefined as unknown as string)),
    'ERR_REFERENCE_INVALID',
  );
});

/** Repository, familiar, canonical, another way to write it, registry. */
const FAMILIAR: readonly (readonly [string, string, string, string, string])[] = [
  ['fooo', 'localhost/fooo', 'localhost/fooo', 'localhost/fooo', 'localhost'],
  ['fooo/bar', 'localhost/fooo/bar', 'localhost/fooo/bar', 'localhost/fooo/bar', 'localhost'],
  ['fooo', 'LOCALDOMAIN/fooo', 'LOCALDOMAIN/fooo', 'LOCALDOMAIN/fooo', 'LOCALDOMAIN'],
  ['fooo/bar', 'LOCALDOMAIN/fooo/bar', 'LOCALDOMAIN/fooo/bar', 'LOCALDOMAIN/fooo/bar', 'LOCALDOMAIN'],
  ['fooo/bar', 'fooo/bar', 'docker.io/fooo/bar', 'index.docker.io/fooo/bar', 'docker.io'],
  ['library/ubuntu', 'ubuntu', 'docker.io/library/ubuntu', 'library/ubuntu', 'docker.io'],
  ['nonlibrary/ubuntu', 'nonlibrary/ubuntu', 'docker.io/nonlibrary/ubuntu', 'nonlibrary/ubuntu', 'docker.io'],
  ['other/library', 'other/library', 'docker.io/other/library', 'other/library', 'docker.io'],
  [
    'private/moonbase',
    '127.0.0.1:8000/private/moonbase',
    '127.0.0.1:8000/private/moonbase',
    '127.0.0.1:8000/private/moonbase',
    '127.0.0.1:8000',
  ],
  [
    'privatebase',
    'example.com:8000/privatebase',
    'example.com:8000/privatebase',
    'example.com:8000/privatebase',
    'example.com:8000',
  ],
  [
    'library/ubuntu-12.04-base',
    'ubuntu-12.04-base',
    'docker.io/library/ubuntu-12.04-base',
    'index.docker.io/library/ubuntu-12.04-base',
    'docker.io',
  ],
  ['library/foo', 'foo', 'docker.io/library/foo', 'docker.io/foo', 'docker.io'],
  ['library/foo/bar', 'library/foo/bar', 'docker.io/library/foo/bar', 'docker.io/library/foo/bar', 'docker.io'],
  ['store/foo/bar', 'store/foo/bar', 'docker.io/store/foo/bar', 'docker.io/store/foo/bar', 'docker.io'],
  ['a.b/c', 'docker.io/a.b/c', 'docker.io/a.b/c', 'index.docker.io/a.b/c', 'docker.io'],
  ['localhost/c', 'docker.io/localhost/c', 'docker.io/localhost/c', 'index.docker.io/localhost/c', 'docker.io'],
  ['bar', 'Foo/bar', 'Foo/bar', 'Foo/bar', 'Foo'],
  ['bar', 'FOO/bar', 'FOO/bar', 'FOO/bar', 'FOO'],
];

test('canonical and familiar names are two sides of one reference', () => {
  for (const [repository, familiar, canonical, other, registry] of FAMILIAR) {
    for (const text of [familiar, canonical, other]) {
      const reference = parseReference(`${text}:tag`);
      assert.equal(reference.registry, registry, text);
      assert.equal(reference.repository, repository, text);
      assert.equal(familiarReference(reference), `${familiar}:tag`, text);
      assert.equal(formatReference(reference), `${canonical}:tag`, text);
    }
  }
  const both = `busybox:latest@sha256:${F64}`;
  assert.equal(familiarReference(parseReference(both)), both);
  assert.equal(normalizeReference(both), `docker.io/library/${both}`);
});

test('a reference is normalized as Docker would pull it', () => {
  for (const text of [
    'busybox',
    'busybox:latest',
    'library/busybox',
    'docker.io/busybox',
    'docker.io/busybox:latest',
    'index.docker.io/library/busybox:latest',
  ]) {
    assert.equal(normalizeReference(text), 'docker.io/library/busybox:latest', text);
  }
  assert.equal(normalizeReference('gcr.io/library/busybox'), 'gcr.io/library/busybox:latest');
  assert.equal(normalizeReference(`busybox@sha256:${F64}`), `docker.io/library/busybox@sha256:${F64}`);
});

test('a reference is cut as it was given, and nothing need be there but the name', () => {
  assert.deepEqual(splitImage('ubuntu'), { name: 'ubuntu' });
  assert.deepEqual(splitImage('localhost:5000'), { name: 'localhost', tag: '5000' });
  assert.deepEqual(splitImage('localhost:5000/a'), { name: 'localhost:5000/a' });
  assert.deepEqual(splitImage('[::1]:5000/a/b:v1'), { name: '[::1]:5000/a/b', tag: 'v1' });
  assert.deepEqual(splitImage(`u/x:1@sha256:${F64}`), { name: 'u/x', tag: '1', digest: `sha256:${F64}` });
  assert.deepEqual(splitImage(`u/x@sha256:${F64}`), { name: 'u/x', digest: `sha256:${F64}` });
});

test('Docker Hub has three names, every other registry one', () => {
  assert.equal(apiHost('docker.io'), 'registry-1.docker.io');
  assert.equal(apiHost('index.docker.io'), 'registry-1.docker.io');
  assert.equal(apiHost('docker.io.evil.example'), 'docker.io.evil.example');
  assert.equal(apiHost('localhost:5000'), 'localhost:5000');
  assert.equal(credentialKey('docker.io'), 'https://index.docker.io/v1/');
  assert.equal(credentialKey('quay.io'), 'quay.io');
  assert.equal(credentialKey('docker.io:5000'), 'docker.io:5000');
});

test('this machine is known by its names, and no other', () => {
  const yes =
    'localhost localhost:5000 LOCALHOST registry.localhost a.b.localhost:1 127.0.0.1 127.0.0.1:5000 127.255.0.9 ::1 [::1] [::1]:5000 [0:0:0:0:0:0:0:1]:5000 0:0:0:0:0:0:0:1';
  for (const host of yes.split(' ')) assert.equal(isLoopbackHost(host), true, host);
  const no =
    'localhost.evil.example notlocalhost 127.0.0.1.evil.example 128.0.0.1 10.0.0.1 127.0.0.256 127.1 0.0.0.0 ::2 [::2]:5000 [fe80::1] [::1].evil.example .localhost x127.0.0.1 docker.io [::1';
  for (const host of [...no.split(' '), '', '[]', ':']) assert.equal(isLoopbackHost(host), false, host);
});

test('parsing any text gives a reference or a coded error, and its canonical text parses to the same', () => {
  const piece = fc.constantFrom(
    'a',
    'B',
    '0',
    '.',
    '-',
    '_',
    '__',
    ':',
    '/',
    '@',
    '[',
    ']',
    'sha256:',
    F64,
    'docker.io',
  );
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((p) => p.join('')),
  );
  let parsed = 0;
  fc.assert(
    fc.property(texts, (text) => {
      if (code(() => parseReference(text)) !== 'none') return;
      parsed++;
      const { given: _, ...reference } = parseReference(text);
      const { given: canonical, ...again } = parseReference(formatReference({ ...reference, given: text }));
      assert.deepEqual(again, reference);
      assert.equal(canonical, normalizeReference(text));
      assert.equal(normalizeReference(familiarReference({ ...reference, given: text })), canonical);
    }),
    { numRuns: 5000, seed: 20260101 },
  );
  assert.ok(parsed > 200, `only ${parsed} texts were references`);
});

test('a name that is made of colons and ats costs no more than another of its length', () => {
  const name = `${':'.repeat(1365)}${':@'.repeat(682)}${'@:'.repeat(682)}`;
  const { user } = process.cpuUsage();
  // As many as an archive may list: a tenth of a second each would be minutes.
  for (let count = 0; count < 100; count += 1)
    assert.equal(
      code(() => parseReference(name)),
      'ERR_REFERENCE_INVALID',
    );
  assert.ok(process.cpuUsage().user - user < 1_000_000);
});

test('long and spiteful texts are read in linear time', () => {
  for (const text of [
    '-'.repeat(4000),
    'a-'.repeat(2000),
    'a.'.repeat(2000),
    `${'a'.repeat(3000)}!/x`,
    '[:'.repeat(2000),
  ]) {
    assert.equal(
      code(() => parseReference(text)),
      'ERR_REFERENCE_INVALID',
    );
  }
});
