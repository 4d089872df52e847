/** Image configs: the published cases, configs as Docker wrote them, and what is let through on purpose. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { MAX_DIFF_IDS, MAX_HISTORY_ENTRIES, parseImageConfig } from '../../src/spec/image-config.js';
import { platformOf } from '../../src/spec/platform.js';

const DIFF = `sha256:${'5f'.repeat(32)}`;
const LEAST = { architecture: 'amd64', os: 'linux', rootfs: { diff_ids: [DIFF], type: 'layers' } };

const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

const FULL = {
  created: '2015-10-31T22:22:56.015925234Z',
  author: 'Alyssa P. Hacker <alyspdev@example.com>',
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  'os.version': '',
  'os.features': [],
  config: {
    User: '1:1',
    ExposedPorts: { '8080/tcp': {} },
    Env: ['PATH=/usr/local/sbin:/usr/bin', 'FOO=docker_is_a_really'],
    Entrypoint: ['/bin/sh'],
    Cmd: ['--foreground'],
    Volumes: { '/var/job-result-data': {} },
    StopSignal: 'SIGKILL',
    WorkingDir: '/home/alice',
    Labels: { 'com.example.project': 'x', constructor: 'kept' },
    Healthcheck: {
      Test: ['CMD-SHELL', 'true'],
      Interval: 30e9,
      Timeout: 1,
      StartPeriod: 0,
      StartInterval: 5,
      Retries: 3,
    },
    AttachStderr: false,
    AttachStdin: false,
    AttachStdout: true,
    Domainname: '',
    Hostname: '09713501c176',
    Image: DIFF,
    MacAddress: '',
    NetworkDisabled: false,
    OnBuild: ['RUN true'],
    OpenStdin: false,
    Shell: ['/bin/bash', '-c'],
    StdinOnce: false,
    StopTimeout: 10,
    Tty: false,
    ArgsEscaped: true,
    Memory: 1,
    MemorySwap: 2,
    CpuShares: 3,
  },
  container: '15a30be0',
  container_config: { Cmd: ['/bin/sh'] },
  docker_version: '1.12.1',
  id: 'x',
  parent: 'y',
  rootfs: { diff_ids: [DIFF, DIFF], type: 'layers' },
  history: [
    { created: '2015-10-31T22:22:54.690851953Z', created_by: '/bin/sh -c #(nop) ADD file', author: 'a', comment: 'b' },
    { created: '2015-10-31T22:22:55.613815829Z', created_by: '/bin/sh -c #(nop) CMD ["sh"]', empty_layer: true },
  ],
  'moby.buildkit.buildinfo.v1': 'extra',
};

test('configs are read with every field, known or not', () => {
  for (const value of [LEAST, FULL, { ...LEAST, rootfs: { type: 'layers', diff_ids: [] }, history: [] }]) {
    assert.deepEqual(parseImageConfig(bytes(value)), value);
  }
  assert.deepEqual(platformOf(parseImageConfig(bytes(FULL))), { architecture: 'arm64', os: 'linux', variant: 'v8' });
});

test('null is absence, and a null list of diffIDs is empty', () => {
  const value = {
    ...LEAST,
    created: null,
    author: null,
    history: null,
    config: { Cmd: null, Entrypoint: null, Volumes: null, OnBuild: null, Labels: null, Env: null, Healthcheck: null },
    container_config: null,
    'os.features': null,
    rootfs: { type: 'layers', diff_ids: null },
  };
  assert.deepEqual(parseImageConfig(bytes(value)), { ...LEAST, config: {}, rootfs: { type: 'layers', diff_ids: [] } });
});

test('what Docker lets through is let through', () => {
  const value = {
    ...LEAST,
    os: '',
    architecture: '',
    created: 'not a date',
    config: { Env: ['foo', ''], Cmd: 'sh', Entrypoint: '', User: '' },
    container_config: { Shell: 'sh', Healthcheck: { Test: 'true' } },
  };
  const read = parseImageConfig(bytes(value));
  assert.deepEqual(read.config, { Env: ['foo', ''], Cmd: ['sh'], Entrypoint: [], User: '' });
  assert.deepEqual(read.container_config, { Shell: ['sh'], Healthcheck: { Test: ['true'] } });
});

test('what builders have left out is settled: no architecture and no system are not said, a rootfs is one of layers or of none', () => {
  const { architecture: _architecture, os: _os, ...silent } = LEAST;
  const said = { ...LEAST, architecture: '', os: '' };
  assert.deepEqual(parseImageConfig(bytes(silent)), said);
  assert.deepEqual(parseImageConfig(bytes({ ...silent, architecture: null, os: null })), said);
  for (const type of [undefined, null, '']) {
    assert.deepEqual(parseImageConfig(bytes({ ...LEAST, rootfs: { diff_ids: [DIFF], type } })), LEAST);
  }
  const none = { ...LEAST, rootfs: { type: 'layers', diff_ids: [] } };
  assert.deepEqual(parseImageConfig(bytes({ ...LEAST, rootfs: { type: 'layers' } })), none);
});

/** What it shows, the config, the field. */
const REFUSED: readonly (readonly [string, unknown, string])[] = [
  ['a system that is a number', { ...LEAST, os: 123 }, 'os'],
  ['a variant that is a number', { ...LEAST, variant: 123 }, 'variant'],
  ['a user that is a number', { ...LEAST, config: { User: 1234 } }, 'config.User'],
  ['a history that is a string', { ...LEAST, history: 'should be an array' }, 'history'],
  ['an environment of numbers', { ...LEAST, config: { Env: [7353] } }, 'config.Env.0'],
  ['volumes that are a list', { ...LEAST, config: { Volumes: ['/var/job-result-data'] } }, 'config.Volumes'],
  ['labels that are a list', { ...LEAST, config: { Labels: ['a'] } }, 'config.Labels'],
  ['labels that are numbers', { ...LEAST, config: { Labels: { a: 1 } } }, 'config.Labels'],
  ['a config that is a list', { ...LEAST, config: [] }, 'config'],
  ['an entrypoint that is a number', { ...LEAST, config: { Entrypoint: 1 } }, 'config.Entrypoint'],
  ['no rootfs', { architecture: 'amd64', os: 'linux' }, 'rootfs'],
  ['a rootfs that is a list', { ...LEAST, rootfs: [] }, 'rootfs'],
  ['a rootfs of another type', { ...LEAST, rootfs: { type: 'layers+base', diff_ids: [] } }, 'rootfs.type'],
  ['a rootfs whose type is a number', { ...LEAST, rootfs: { type: 1, diff_ids: [] } }, 'rootfs.type'],
  ['diffIDs that are no list', { ...LEAST, rootfs: { type: 'layers', diff_ids: DIFF } }, 'rootfs.diff_ids'],
  ['a diffID that is none', { ...LEAST, rootfs: { type: 'layers', diff_ids: [DIFF, 'x'] } }, 'rootfs.diff_ids.1'],
  [
    'a diffID that is a path',
    { ...LEAST, rootfs: { type: 'layers', diff_ids: ['sha256:../../x'] } },
    'rootfs.diff_ids.0',
  ],
  ['a diffID that is null', { ...LEAST, rootfs: { type: 'layers', diff_ids: [null] } }, 'rootfs.diff_ids.0'],
  ['an architecture that is a number', { ...LEAST, architecture: 64 }, 'architecture'],
  ['history entries that are strings', { ...LEAST, history: ['x'] }, 'history.0'],
  ['an empty_layer that is a string', { ...LEAST, history: [{ empty_layer: 'true' }] }, 'history.0.empty_layer'],
  ['a chart', { name: 'chart', version: '1.0.0', apiVersion: 'v2' }, 'rootfs'],
  ['nothing', {}, 'rootfs'],
];

test('what is no image config is refused, naming the field', () => {
  for (const [what, value, field] of REFUSED) {
    assert.throws(
      () => parseImageConfig(bytes(value), { subject: 'it' }),
      (error) => {
        assert.ok(error instanceof RootfsError, String(error));
        assert.equal(error.code, 'ERR_CONFIG_INVALID', what);
        assert.equal(error.detail['field'], field, `${what}: ${error.message}`);
        assert.match(error.message, /^it: .*(is missing|expected .*, found .*); ask who publishes it$/);
        return true;
      },
    );
  }
});

test('two fields that are one to some clients are refused; one in another case, labels and the like are not', () => {
  const { rootfs } = LEAST;
  const twins: readonly (readonly [object, RegExp])[] = [
    [{ ...LEAST, OS: 'windows' }, /the image config has "os" and "OS", which some clients take for one field; ask/],
    [{ ...LEAST, RootFS: { type: 'layers', diff_ids: [] } }, /"rootfs" and "RootFS"/],
    [{ ...LEAST, rootfs: { ...rootfs, DIFF_IDS: [] } }, /"diff_ids" and "DIFF_IDS"/],
    [{ ...LEAST, config: { User: 'nobody', user: 'root' } }, /"User" and "user"/],
    [{ ...LEAST, ['A'.repeat(1_000)]: 1, ['a'.repeat(1_000)]: 1 }, /"A{120}…" and "a{120}…"/],
    [{ ...LEAST, config: { U\u017fer: 'root', User: 'nobody' } }, /"User"/],
  ];
  for (const [value, message] of twins) {
    assert.throws(() => parseImageConfig(bytes(value), { subject: 'it' }), { code: 'ERR_CONFIG_INVALID', message });
  }
  const config = { Labels: { A: '1', a: '2' }, ExposedPorts: { '80/TCP': {}, '80/tcp': {} }, env: ['x'] };
  assert.deepEqual(parseImageConfig(bytes({ ...LEAST, Size: 5, config })), { ...LEAST, Size: 5, config });
});

test("a config's own fields are read in any case, as a published image of Windows spells its rootfs", () => {
  const { rootfs, os, ...rest } = LEAST;
  const odd = { ...rest, OS: os, 'OS.Version': '10.0.1', rootfS: { Type: 'layers', Diff_IDs: [DIFF] }, History: [{}] };
  const config = parseImageConfig(bytes(odd));
  assert.deepEqual(config, { ...LEAST, 'os.version': '10.0.1', history: [{}] });
  const many = Array(MAX_DIFF_IDS + 1).fill(DIFF);
  for (const [rootfS, code] of [
    [{ type: 'tar', diff_ids: [] }, 'ERR_CONFIG_INVALID'],
    [{ ...rootfs, Diff_IDs: [] }, 'ERR_CONFIG_INVALID'],
    [{ type: 'layers', Diff_IDs: many }, 'ERR_LIMIT_EXCEEDED'],
  ] as const) {
    assert.throws(() => parseImageConfig(bytes({ ...rest, rootfS })), { code });
  }
});

test('diffIDs and history are bounded', () => {
  const make = (diffs: number, steps: number): Uint8Array =>
    bytes({ ...LEAST, rootfs: { type: 'layers', diff_ids: Array(diffs).fill(DIFF) }, history: Array(steps).fill({}) });
  assert.equal(parseImageConfig(make(MAX_DIFF_IDS, MAX_HISTORY_ENTRIES)).rootfs.diff_ids.length, MAX_DIFF_IDS);
  for (const raw of [make(MAX_DIFF_IDS + 1, 0), make(0, MAX_HISTORY_ENTRIES + 1)]) {
    assert.throws(() => parseImageConfig(raw), { code: 'ERR_LIMIT_EXCEEDED', message: /entries; at most/ });
  }
});
