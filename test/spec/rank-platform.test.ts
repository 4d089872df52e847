/** Which image a platform takes: containerd/platforms' tables, and the order among what fits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Platform, parsePlatform } from '../../src/spec/platform.js';
import { isExactRank, rankPlatform } from '../../src/spec/rank-platform.js';

const p = (text: string): Platform => parsePlatform(text);
const rank = (wanted: string, offered: string): number | undefined => rankPlatform(p(wanted), p(offered));

const ARM_TO_V8 = 'linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8';
const upTo = (major: number, minor: number): string =>
  Array.from({ length: minor + 1 }, (_, i) => `linux/arm64/v${major}.${i}`).join(' ');

/** Wanted, what fits, what does not. */
const FITS: readonly (readonly [string, string, string])[] = [
  [
    'linux/amd64',
    'linux/amd64 linux/amd64/v1 linux/386',
    'linux/amd64/v2 linux/arm/v7 linux/arm64 windows/amd64 windows/arm',
  ],
  [
    'linux/amd64/v2',
    'linux/amd64 linux/amd64/v1 linux/amd64/v2 linux/386',
    'linux/amd64/v3 linux/amd64/v4 linux/arm/v7 linux/arm64 windows/amd64',
  ],
  ['linux/amd64/v4', 'linux/amd64/v4 linux/amd64/v3 linux/amd64/v2 linux/amd64', 'linux/arm64'],
  ['linux/386', 'linux/386', 'linux/amd64 linux/arm/v7 linux/arm64 windows/amd64'],
  ['windows/amd64', 'windows/amd64 windows(10.0.17763)/amd64', 'linux/amd64 linux/arm/v7 linux/arm64 windows/arm'],
  ['linux/arm/v8', ARM_TO_V8, 'linux/amd64 linux/arm/v4 linux/arm64 windows/amd64 windows/arm'],
  ['linux/arm/v7', 'linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7', 'linux/arm/v4 linux/arm/v8 linux/arm64'],
  ['linux/arm/v6', 'linux/arm/v5 linux/arm/v6', 'linux/arm linux/arm/v4 linux/arm/v7 linux/arm/v8 linux/arm64'],
  ['linux/arm/v5', 'linux/arm/v5', 'linux/arm linux/arm/v4 linux/arm/v6 linux/arm/v7'],
  ['linux/arm/v4', 'linux/arm/v4', 'linux/arm linux/arm/v5 linux/arm/v6'],
  [
    'linux/arm64/v9.6',
    `${ARM_TO_V8} linux/arm64 ${upTo(8, 9)} ${upTo(9, 6)} linux/arm64/v9`,
    'linux/amd64 linux/arm/v4 linux/arm64/v8.10 linux/arm64/v9.7 windows/arm',
  ],
  ['linux/arm64/v9.2', `linux/arm64/v9.2 ${upTo(8, 7)}`, 'linux/arm64/v9.3 linux/arm64/v8.8'],
  [
    'linux/arm64/v9',
    `${ARM_TO_V8} linux/arm64 ${upTo(8, 5)} linux/arm64/v9.0`,
    'linux/arm/v4 linux/arm64/v8.6 linux/arm64/v9.1',
  ],
  [
    'linux/arm64/v8.1',
    `${ARM_TO_V8} linux/arm64 linux/arm64/v8 linux/arm64/v8.1`,
    'linux/arm64/v8.2 linux/arm64/v9 linux/arm/v9',
  ],
  [
    'linux/arm64',
    `${ARM_TO_V8} linux/arm64 linux/arm64/v8`,
    'linux/arm/v4 linux/arm/v9 linux/arm64/v9 linux/amd64 windows/arm',
  ],
  ['linux/arm64/odd', 'linux/arm64/odd', 'linux/arm64 linux/arm'],
  ['linux/riscv64', 'linux/riscv64', 'linux/riscv64/rva22u64 linux/amd64'],
  ['linux(+gpu)/amd64', 'linux/amd64 linux(+gpu)/amd64', 'linux(+gpu+simd)/amd64 linux(+simd)/amd64'],
  ['linux/amd64', 'linux/amd64', 'linux(+gpu)/amd64'],
  ['windows/amd64', 'windows(+win32k)/amd64', 'windows(+other)/amd64'],
  ['linux(7.2)/amd64', 'linux/amd64 linux(7.1)/amd64 linux(7.2)/amd64', 'linux(7.2)/arm64'],
  [
    'windows(10.0.17763)/amd64',
    'windows/amd64 windows(10.0.17763)/amd64 windows(10.0.17763.6189)/amd64',
    'windows(10.0.1776)/amd64 windows(10.0.177631)/amd64 windows(10.0.20348.1)/amd64 windows(10.0.14393)/amd64 windows(1.0)/amd64',
  ],
  ['windows(10.0.17763.1)/amd64', 'windows(10.0.17763.2)/amd64', 'windows(10.0.17764.1)/amd64'],
  ['windows(10.0)/amd64', 'windows(10.0.17763.2)/amd64 windows(10.0.20348)/amd64', 'windows(10.1.1)/amd64'],
];

test('what a platform can run is what containerd says it can', () => {
  for (const [wanted, fit, unfit] of FITS) {
    for (const offered of fit.split(' '))
      assert.notEqual(rank(wanted, offered), undefined, `${wanted} takes ${offered}`);
    for (const offered of unfit.split(' '))
      assert.equal(rank(wanted, offered), undefined, `${wanted} refuses ${offered}`);
  }
});

/** Host build, container build, whether it runs. */
const WINDOWS: readonly (readonly [number, number, boolean])[] = [
  [17763, 17763, true],
  [17763, 20348, false],
  [20348, 17763, false],
  [20348, 20348, true],
  [22621, 17763, false],
  [22621, 20348, true],
  [25398, 17763, false],
  [25398, 20348, true],
  [26100, 20348, true],
  [20348, 26100, false],
  [20348, 22621, false],
  [26100, 22621, true],
  [27000, 22621, false],
  [27000, 26100, true],
];

test('windows hosts from 2022 on run what was built since the long-term release before', () => {
  for (const [host, build, runs] of WINDOWS) {
    const found = rank(`windows(10.0.${host})/amd64`, `windows(10.0.${build}.99)/amd64`);
    assert.equal(found !== undefined, runs, `${build} on ${host}`);
  }
});

/** Wanted, and the offered ones, best first. */
const ORDERS: readonly (readonly [string, string])[] = [
  ['linux/amd64/v3', 'linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386'],
  ['linux/arm/v7', 'linux/arm/v7 linux/arm/v6 linux/arm/v5'],
  ['linux/arm64', 'linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5'],
  ['linux/arm64/v8.2', 'linux/arm64/v8.2 linux/arm64/v8.1 linux/arm64/v8 linux/arm/v7'],
  ['linux/arm64/v9.1', 'linux/arm64/v9.1 linux/arm64/v9 linux/arm64/v8.6 linux/arm64/v8 linux/arm'],
  ['linux(+f1+f2)/amd64', 'linux(+f1+f2)/amd64 linux(+f1)/amd64 linux/amd64 linux(+f1)/386'],
  [
    'windows(10.0.26100.2894)/amd64',
    'windows(10.0.26100.2894)/amd64 windows(10.0.26100.3000)/amd64 windows(10.0.22621)/amd64 windows(10.0.20348.3091)/amd64 windows/amd64',
  ],
];

test('among what fits the nearest comes first', () => {
  for (const [wanted, order] of ORDERS) {
    const ranks = order.split(' ').map((offered) => rank(wanted, offered) ?? assert.fail(`${wanted}: ${offered}`));
    for (let i = 1; i < ranks.length; i++) {
      assert.ok((ranks[i] as number) > (ranks[i - 1] as number), `${wanted}: ${order.split(' ')[i]}`);
    }
  }
  assert.equal(rank('linux(+f1+f2)/amd64', 'linux(+f1)/amd64'), rank('linux(+f1+f2)/amd64', 'linux(+f2)/amd64'));
  assert.equal(rank('linux/arm64', 'linux/arm64'), rank('linux/arm64/v8', 'linux/arm64/v8'));
});

test('only the very platform is exact', () => {
  assert.equal(isExactRank(rank('linux/arm64', 'linux/arm64/v8') as number), true);
  assert.equal(isExactRank(rank('linux/arm', 'linux/arm/v7') as number), true);
  assert.equal(isExactRank(rank('linux/arm64', 'linux/arm/v7') as number), false);
  assert.equal(isExactRank(rank('linux/amd64/v2', 'linux/amd64') as number), false);
  assert.equal(isExactRank(rank('windows(10.0.17763)/amd64', 'windows/amd64') as number), false);
});
