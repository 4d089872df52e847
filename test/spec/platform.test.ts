/** Platforms: reading, writing, normal forms, the host's own; the tables are containerd/platforms'. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RootfsError } from '../../src/errors.js';
import {
  formatPlatform,
  hostPlatform,
  isUnknownPlatform,
  normalizePlatform,
  type Platform,
  parsePlatform,
} from '../../src/spec/platform.js';

const HOST: Platform = { os: 'linux', architecture: 'riscv64' };

/** Text, what it parses to, how that is written. */
const PARSES: readonly (readonly [string, Platform, string])[] = [
  ['linux/amd64', { os: 'linux', architecture: 'amd64' }, 'linux/amd64'],
  ['linux/amd64/v2', { os: 'linux', architecture: 'amd64', variant: 'v2' }, 'linux/amd64/v2'],
  ['linux/arm64', { os: 'linux', architecture: 'arm64' }, 'linux/arm64'],
  ['linux/arm64/v8', { os: 'linux', architecture: 'arm64', variant: 'v8' }, 'linux/arm64/v8'],
  ['linux/arm64/8', { os: 'linux', architecture: 'arm64', variant: 'v8' }, 'linux/arm64/v8'],
  ['linux/arm64/v9.0', { os: 'linux', architecture: 'arm64', variant: 'v9' }, 'linux/arm64/v9'],
  ['linux/arm', { os: 'linux', architecture: 'arm' }, 'linux/arm'],
  ['linux/arm/v6', { os: 'linux', architecture: 'arm', variant: 'v6' }, 'linux/arm/v6'],
  ['linux/arm/v7', { os: 'linux', architecture: 'arm', variant: 'v7' }, 'linux/arm/v7'],
  ['linux/arm/7', { os: 'linux', architecture: 'arm', variant: 'v7' }, 'linux/arm/v7'],
  ['arm', { os: 'linux', architecture: 'arm' }, 'linux/arm'],
  ['armel', { os: 'linux', architecture: 'arm', variant: 'v6' }, 'linux/arm/v6'],
  ['armhf', { os: 'linux', architecture: 'arm' }, 'linux/arm'],
  ['Aarch64', { os: 'linux', architecture: 'arm64' }, 'linux/arm64'],
  ['x86_64', { os: 'linux', architecture: 'amd64' }, 'linux/amd64'],
  ['Linux/x86_64', { os: 'linux', architecture: 'amd64' }, 'linux/amd64'],
  ['i386', { os: 'linux', architecture: '386' }, 'linux/386'],
  ['linux', { os: 'linux', architecture: 'riscv64' }, 'linux/riscv64'],
  ['s390x', { os: 'linux', architecture: 's390x' }, 'linux/s390x'],
  ['linux/s390x', { os: 'linux', architecture: 's390x' }, 'linux/s390x'],
  ['macOS', { os: 'darwin', architecture: 'riscv64' }, 'darwin/riscv64'],
  ['windows', { os: 'windows', architecture: 'riscv64' }, 'windows/riscv64'],
  ['windows()', { os: 'windows', architecture: 'riscv64' }, 'windows/riscv64'],
  ['wasi/wasm', { os: 'wasi', architecture: 'wasm' }, 'wasi/wasm'],
  [
    'windows(10.0.17763)',
    { os: 'windows', 'os.version': '10.0.17763', architecture: 'riscv64' },
    'windows(10.0.17763)/riscv64',
  ],
  [
    'windows(10.0.17763+win32k)/amd64',
    { os: 'windows', 'os.version': '10.0.17763', 'os.features': ['win32k'], architecture: 'amd64' },
    'windows(10.0.17763+win32k)/amd64',
  ],
  [
    'linux(+gpu+simd)/amd64',
    { os: 'linux', 'os.features': ['gpu', 'simd'], architecture: 'amd64' },
    'linux(+gpu+simd)/amd64',
  ],
  [
    'linux(+unsorted+erofs)/amd64',
    { os: 'linux', 'os.features': ['unsorted', 'erofs'], architecture: 'amd64' },
    'linux(+erofs+unsorted)/amd64',
  ],
  [
    'windows(10.0.17763%2Bbuild.42+win32k)/amd64',
    { os: 'windows', 'os.version': '10.0.17763+build.42', 'os.features': ['win32k'], architecture: 'amd64' },
    'windows(10.0.17763%2Bbuild.42+win32k)/amd64',
  ],
  [
    'windows(50%25done)/amd64',
    { os: 'windows', 'os.version': '50%done', architecture: 'amd64' },
    'windows(50%25done)/amd64',
  ],
  [
    'linux(+feat%2Bv2)/amd64',
    { os: 'linux', 'os.features': ['feat+v2'], architecture: 'amd64' },
    'linux(+feat%2Bv2)/amd64',
  ],
  [
    'linux(a%20b%09%7E%C3%A9+%E2%82%AC)/amd64',
    { os: 'linux', 'os.version': 'a b\t~é', 'os.features': ['€'], architecture: 'amd64' },
    'linux(a%20b%09%7E%C3%A9+%E2%82%AC)/amd64',
  ],
];

test('platforms parse, and what is written parses to the same', () => {
  for (const [text, platform, written] of PARSES) {
    assert.deepEqual(parsePlatform(text, HOST), platform, text);
    assert.equal(formatPlatform(platform), written, text);
    assert.deepEqual(normalizePlatform(parsePlatform(written, HOST)), normalizePlatform(platform), text);
  }
  assert.equal(
    formatPlatform({ os: 'windows', 'os.version': '1.0(beta)/x', architecture: 'amd64' }),
    'windows(1.0%28beta%29%2Fx)/amd64',
  );
  assert.equal(
    formatPlatform({ os: 'linux', 'os.features': ['', 'gpu', '', 'simd'], architecture: 'amd64' }),
    'linux(+gpu+simd)/amd64',
  );
  assert.equal(formatPlatform({ os: '', architecture: 'amd64' }), 'unknown');
});

test('what is no platform is refused', () => {
  const refused = [
    '',
    '/linux/arm',
    'linux/arm/',
    'linux /arm',
    'linux/&arm',
    'linux/arm/foo/bar',
    'linux/arm/foo/bar/baz',
    '*',
    'linux/*',
    'bogus',
    'linux(',
    'linux(a',
    'linux(%zz)/amd64',
    'linux/amd64\n',
    'linux//amd64',
    'linux(+)/amd64',
    `linux/${'a'.repeat(400)}`,
    undefined as unknown as string,
  ];
  for (const text of refused) {
    assert.throws(
      () => parsePlatform(text, HOST),
      (error) =>
        error instanceof RootfsError && error.code === 'ERR_PLATFORM_INVALID' && /expected os\//.test(error.message),
      text,
    );
  }
});

test('a variant without its system is told so, as the pair it would be nobody means', () => {
  for (const text of ['arm64/v8', 'arm/v7', 'arm/7', 'amd64/v3', 'aarch64/v8', 'x86_64/v2']) {
    assert.throws(() => parsePlatform(text, HOST), {
      code: 'ERR_PLATFORM_INVALID',
      message: new RegExp(`the operating system is missing; try ${HOST.os}/${text};`),
    });
  }
  assert.deepEqual(parsePlatform('wasm/wasm', HOST), { os: 'wasm', architecture: 'wasm' });
});

test('a version at the end is told where it stands here', () => {
  assert.throws(() => parsePlatform('windows/amd64:10.0.17763.1', HOST), {
    code: 'ERR_PLATFORM_INVALID',
    message: /: a version stands behind the operating system; try windows\(10\.0\.17763\.1\)\/amd64;/,
  });
  assert.equal(parsePlatform('windows(10.0.17763.1)/amd64', HOST)['os.version'], '10.0.17763.1');
});

test('normal forms: arm is v7, arm64/v8 and amd64/v1 have no variant, features are sorted', () => {
  const norm = (architecture: string, variant?: string): string =>
    formatPlatform(normalizePlatform({ os: 'Linux', architecture, variant }));
  assert.equal(norm('arm'), 'linux/arm/v7');
  assert.equal(norm('arm', '6'), 'linux/arm/v6');
  assert.equal(norm('armhf'), 'linux/arm/v7');
  assert.equal(norm('armel'), 'linux/arm/v6');
  assert.equal(norm('ARM64', 'V8'), 'linux/arm64');
  assert.equal(norm('aarch64', '8'), 'linux/arm64');
  assert.equal(norm('arm64', 'v8.1'), 'linux/arm64/v8.1');
  assert.equal(norm('amd64', 'v1'), 'linux/amd64');
  assert.equal(norm('x86-64', 'v3'), 'linux/amd64/v3');
  assert.equal(norm('i386', 'v3'), 'linux/386');
  assert.deepEqual(
    normalizePlatform({ os: 'linux', architecture: 'amd64', 'os.features': ['b', 'a', 'b', ''], 'os.version': '' }),
    { os: 'linux', architecture: 'amd64', 'os.features': ['a', 'b'] },
  );
});

test('the host is linux everywhere but on Windows, with the words of Go', () => {
  assert.deepEqual(hostPlatform({ platform: 'darwin', arch: 'arm64' }), { os: 'linux', architecture: 'arm64' });
  assert.deepEqual(hostPlatform({ platform: 'win32', arch: 'x64' }), { os: 'windows', architecture: 'amd64' });
  assert.deepEqual(hostPlatform({ platform: 'linux', arch: 'ia32' }), { os: 'linux', architecture: '386' });
  assert.deepEqual(hostPlatform({ platform: 'linux', arch: 's390x' }), { os: 'linux', architecture: 's390x' });
  const arm = (machine: string): string => formatPlatform(hostPlatform({ platform: 'linux', arch: 'arm', machine }));
  assert.equal(arm('armv7l'), 'linux/arm');
  assert.equal(arm('armv6l'), 'linux/arm/v6');
  assert.equal(arm('aarch64'), 'linux/arm/v8');
  assert.equal(arm('something'), 'linux/arm');
  assert.match(formatPlatform(hostPlatform()), /^(linux|windows)\/\w+/);
});

test('a platform that says nothing is known', () => {
  assert.equal(isUnknownPlatform({ os: 'unknown', architecture: 'unknown' }), true);
  assert.equal(isUnknownPlatform({ os: '', architecture: '' }), true);
  assert.equal(isUnknownPlatform({ os: 'linux', architecture: '' }), false);
});

test('parsing any text gives a platform or a coded error; what is parsed survives writing', () => {
  const piece = fc.constantFrom('linux', 'windows', 'arm', 'amd64', '/', '(', ')', '+', '%2B', '%20', 'v8', '.', '10');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 9 }).map((p) => p.join('')),
      ),
      (text) => {
        let platform: Platform;
        try {
          platform = parsePlatform(text, HOST);
        } catch (error) {
          assert.ok(error instanceof RootfsError && error.code === 'ERR_PLATFORM_INVALID', String(error));
          return;
        }
        assert.deepEqual(normalizePlatform(parsePlatform(formatPlatform(platform), HOST)), normalizePlatform(platform));
      },
    ),
    { numRuns: 5000, seed: 20260102 },
  );
});
