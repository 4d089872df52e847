/** docs/guards.md and README name every guard that the sources have, with the number that holds. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from '../support/rootfs.js';

/** Constants that limit nothing that others send: what a format or the kernel takes, and what is kept for speed. */
const NO_GUARDS: readonly string[] = [
  'cli/options.ts MAX_RANGES',
  'cli/progress/bars.ts MAX_BARS',
  'client/instance-reader.ts MAX_REMEMBERED',
  'client/registry-client.ts MAX_OPEN',
  'codec/zstd-frames.ts MAX_BLOCK_BYTES',
  'engine/remote-documents.ts MAX_DOCUMENTS',
  'engine/remotes.ts MAX_REMOTES',
  'export/erofs-devices.ts MAX_DEVICES',
  'export/erofs-format.ts MAX_CHUNK_BITS',
  'export/erofs-format.ts MAX_NAME_BYTES',
  'export/erofs-limits.ts MAX_LINK_BYTES',
  'export/erofs-xattrs.ts MAX_INLINE_BYTES',
  'export/erofs-xattrs.ts MAX_SHARED',
  'export/erofs-xattrs.ts MAX_VALUE_BYTES',
  'export/file-output.ts MOST_SEND',
  'export/file-output.ts MOST_WAITING',
  'export/mkfs-ext4-script.ts MAX_LINKS',
  'export/mkfs-ext4.ts MAX_XATTR_BYTES',
  'export/mount-erofs.ts MAX_OPTION',
  'export/mount-erofs.ts MAX_OPTIONS',
  'export/overlay-facts.ts MAX_MOUNT_OPTIONS',
  'export/overlay.ts MAX_STACK',
  'export/skipped-xattr.ts MAX_NAME_BYTES',
  'export/write-batch.ts MAX_GAP',
  'export/write-batch.ts MAX_RUN',
  'io/file-sink-crew.ts MOST_WORKERS',
  'io/file-sink.ts MOST_KEPT_BYTES',
  'io/lent-memory.ts MAX_FREE_BYTES',
  'io/remove-tree.ts MAX_TRIES',
  'layer/extract-options.ts MOST_WORKERS',
  'registry/credential-search.ts MAX_TOLD',
  'registry/endpoint-list.ts MAX_KNOWN_REFERENCES',
  'registry/identity-token.ts MAX_REPLACED',
  'registry/served-content.ts MAX_REMEMBERED',
  'registry/toml-file.ts MAX_PARSED',
  'registry/toml-file.ts MAX_PARSED_TEXT',
  'spec/rank-platform.ts MOST_FEATURES',
];

/** Constants whose number stands in README under another constant of the same guard; a test holds most of these equal. */
const SAME_GUARD: readonly string[] = ['engine/layer-chain.ts MAX_LAYERS', 'registry/wire-body.ts MAX_EARLY_BYTES'];

/** Every constant of the sources that is a sum or product of numbers: `file NAME`, and its value. */
function readConstants(): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const source = join(REPOSITORY, 'src');
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.startsWith('testing')) continue;
    const text = readFileSync(join(source, file), 'utf8');
    for (const [, name, factors = ''] of text.matchAll(/^(?:export )?const ([A-Z]\w*)(?:: \w+)? = ([\d_ *]+);$/gm)) {
      const value = factors.split(/(?<!\*) \* /).reduce((product, factor) => {
        const [base = '', power = '1'] = factor.replaceAll('_', '').split(' ** ');
        return product * Number(base) ** Number(power);
      }, 1);
      found.set(`${file} ${name}`, value);
    }
  }
  return found;
}

function shown(value: number): string[] {
  const sizes = [1, 2, 3].map((power) => [value / 1024 ** power, ['', 'KiB', 'MiB', 'GiB'][power]] as const);
  const whole = sizes.filter(([number]) => Number.isInteger(number)).map(([number, unit]) => `${number} ${unit}`);
  return [value.toLocaleString('en-US'), ...whole];
}

const constants = readConstants();

test('each row of docs/guards.md says the number of the constant that it names', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/guards.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (.+?) +\| ([\d,]+(?: [KMG]iB)?) +\| `(\S+)` `(\w+)` +\| .+ \|$/gm)];
  assert.equal(rows.length, [...text.matchAll(/^\|.*`.*$/gm)].length, 'a row that is none');
  const named = new Set<string>();
  for (const [, what, number = '', file, name] of rows) {
    const constant = `${file} ${name}`;
    const value = constants.get(constant);
    assert.ok(value !== undefined, `${what}: there is no ${constant}`);
    assert.ok(shown(value).includes(number), `${what}: ${number} is not ${shown(value).join(' or ')}`);
    named.add(constant);
  }
  assert.ok(named.size > 40, `${named.size} rows`);
});

test('every constant that is called a maximum stands in a table of guards, or is none', () => {
  const named = new Set(
    [...readFileSync(join(REPOSITORY, 'docs/guards.md'), 'utf8').matchAll(/`(\S+\.ts)` `(\w+)`/g)].map(
      ([, file, name]) => `${file} ${name}`,
    ),
  );
  const table = readFileSync(new URL('./guards.test.js', import.meta.url), 'utf8');
  const elsewhere = new Set([...NO_GUARDS, ...SAME_GUARD]);
  const unnamed = [...constants.keys()].filter((constant) => {
    const name = constant.split(' ')[1] as string;
    if (!/(^|_)(MAX|MOST)_/.test(name) || named.has(constant) || elsewhere.has(constant)) return false;
    return !new RegExp(`\\b${name}\\b`).test(table);
  });
  assert.deepEqual(unnamed, [], 'constants that no table of guards names');
  for (const constant of elsewhere) assert.ok(constants.has(constant), `there is no ${constant}`);
});
