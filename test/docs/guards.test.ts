/** README's table of guards says the numbers that hold, row by row: a number that changes changes in both. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MAX_MEASURED } from '../../src/client/instance-reader.js';
import {
  DEFAULT_MAX_LAYER_BYTES,
  DEFAULT_MAX_RATIO,
  DEFAULT_RATIO_FLOOR_BYTES,
} from '../../src/codec/open-inflater.js';
import { MAX_ZSTD_WINDOW_BYTES } from '../../src/codec/zstd-frames.js';
import { MAX_ARCHIVE_ENTRIES } from '../../src/content/archive-entries.js';
import { MAX_ARCHIVE_BYTES, MAX_ARCHIVE_RATIO } from '../../src/content/archive-file.js';
import { MAX_ARCHIVED_IMAGES } from '../../src/content/docker-image-list.js';
import { ENGINE_WORK_MS } from '../../src/content/engine-silence.js';
import * as layoutIndex from '../../src/content/layout-index.js';
import { MAX_READ_DOCUMENTS } from '../../src/content/layout-referrers.js';
import { UNPACK_LIMITS } from '../../src/export/unpack-options.js';
import { MAX_COPIED_MANIFEST_BYTES, MAX_COPIED_MANIFESTS } from '../../src/image/copy-graph.js';
import { MAX_INDEX_DEPTH } from '../../src/image/index-entries.js';
import { MAX_DOCUMENT_BYTES } from '../../src/io/limit.js';
import { MAX_PAGE_BYTES, MAX_PAGE_VALUES } from '../../src/registry/list-page.js';
import { MAX_ENTRIES, MAX_NAME_BYTES, MAX_PAGES } from '../../src/registry/paged-list.js';
import { MIN_LENT_BYTES } from '../../src/registry/receive-buffers.js';
import { MAX_REDIRECTS } from '../../src/registry/redirect.js';
import { registrySettings } from '../../src/registry/registry-options.js';
import { MAX_SETTINGS_BYTES } from '../../src/registry/settings-file.js';
import { mergeLimits } from '../../src/rootfs/merge-limits.js';
import { MAX_DIFF_IDS } from '../../src/spec/image-config.js';
import { MAX_INDEX_ENTRIES } from '../../src/spec/image-index.js';
import { MAX_LAYERS } from '../../src/spec/image-manifest.js';
import { MAX_JSON_BYTES, MAX_JSON_DEPTH } from '../../src/spec/json-document.js';
import { MAX_REPOSITORY_LENGTH } from '../../src/spec/reference.js';
import { REPOSITORY } from '../support/rootfs.js';

const { maxRetryAfterMs, retry, timeoutMs } = registrySettings();
const limits = mergeLimits({});
const MILLION = 1_000_000;

function count(number: number): string {
  return number >= MILLION && number % MILLION === 0 ? `${number / MILLION} million` : number.toLocaleString('en-US');
}

function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${count(bytes / 1024 ** unit)} ${units[unit]}`;
}

/** Numbers that stand for one guard must be one number. */
function same(...numbers: readonly number[]): number {
  assert.equal(new Set(numbers).size, 1, String(numbers));
  return numbers[0] as number;
}

const json = same(MAX_JSON_BYTES, MAX_DOCUMENT_BYTES);
const paths = same(limits.maxPathBytes, UNPACK_LIMITS.maxPathBytes);
const depth = same(limits.maxDepth, UNPACK_LIMITS.maxDepth);

const ROWS: Readonly<Record<string, string>> = {
  'manifest, index or config': `${size(json)} of JSON, depth ${MAX_JSON_DEPTH}`,
  '`index.json` of a layout': size(layoutIndex.MAX_LAYOUT_INDEX_BYTES),
  'layers of a manifest, entries of an index': `${count(same(MAX_LAYERS, MAX_DIFF_IDS))} and ${count(MAX_INDEX_ENTRIES)}`,
  'nested indexes': `${same(MAX_INDEX_DEPTH, layoutIndex.MAX_INDEX_DEPTH)} levels`,
  'manifests of a layout read for referrers': count(MAX_READ_DOCUMENTS),
  'manifests of an index read for its size': count(MAX_MEASURED),
  'manifests of one copy': `${count(MAX_COPIED_MANIFESTS)}, ${size(MAX_COPIED_MANIFEST_BYTES)} in all`,
  'uncompressed layer': size(DEFAULT_MAX_LAYER_BYTES),
  [`compression ratio, once past ${size(DEFAULT_RATIO_FLOOR_BYTES)}`]: count(DEFAULT_MAX_RATIO),
  'zstd window': size(MAX_ZSTD_WINDOW_BYTES),
  'entries of a root file system': count(same(limits.maxEntries, UNPACK_LIMITS.maxEntries)),
  'path, name, depth': `${count(paths)} bytes, ${limits.maxNameBytes} bytes, ${depth}`,
  'names, links and attributes of an archive': size(limits.maxMetadataBytes),
  'extension headers of an archive': size(limits.maxExtensionBytes),
  'attributes of a file': `${count(limits.maxXattrs)}, of ${size(limits.maxXattrBytes)} each`,
  'runs of data of sparse files': count(limits.maxExtents),
  'bytes of all files, holes included': size(limits.maxDataBytes),
  'the same, where they are written as files': size(UNPACK_LIMITS.maxDataBytes),
  'links followed while paths are resolved': `${count(limits.maxLinkSteps)} steps`,
  'image archive that is compressed or piped': `${size(MAX_ARCHIVE_BYTES)}, ratio ${count(MAX_ARCHIVE_RATIO)}`,
  'files of an image archive, images of one': `${count(MAX_ARCHIVE_ENTRIES)} and ${count(MAX_ARCHIVED_IMAGES)}`,
  'silence of a server': `${timeoutMs / 1000} s`,
  'silence of a Docker Engine while it works': `${ENGINE_WORK_MS / 60_000} min`,
  'attempts in a row without progress': String(retry),
  redirects: String(MAX_REDIRECTS),
  'wait that a server may ask for': `${maxRetryAfterMs / 1000} s; ten times that in all`,
  'header of an answer': size(MIN_LENT_BYTES),
  'settings, credentials or certificates': `${size(MAX_SETTINGS_BYTES)} a file`,
  'page of tags, repositories or referrers': `${size(MAX_PAGE_BYTES)}, ${count(MAX_PAGE_VALUES)} values`,
  'pages of such a list, and entries in all': `${count(MAX_PAGES)} and ${count(MAX_ENTRIES)}`,
  'names of tags and repositories, together': `128 and ${MAX_REPOSITORY_LENGTH} bytes, ${size(MAX_NAME_BYTES)}`,
};

/** Numbers that no constant holds alone: what they mean stands in tests of their own. */
const ELSEWHERE: readonly string[] = [
  'the same while it takes a long upload',
  'kept of a transport that knows no pause',
];

test("README's table of guards says the numbers that hold", () => {
  const text = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
  const table = /^\| guard .*\n\| -.*\n((?:\|.*\n)+)/m.exec(text)?.[1] ?? '';
  const found = table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, guard = '', number = '']) => [guard, number] as const)
    .filter(([guard]) => !ELSEWHERE.includes(guard));
  assert.deepEqual(Object.fromEntries(found), ROWS);
});
