/** Image configs. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md */
import * as v from 'valibot';
import { RootfsError } from '../errors.js';
import { digestSchema } from './descriptor.js';
import type { Digest } from './digest.js';
import { containerInKnownCase, findTwins, inKnownCase } from './field-case.js';
import {
  checkDocument,
  checkLength,
  type DocumentKind,
  type JsonObject,
  jsonObject,
  type ParseOptions,
  readJsonObject,
  stringMap,
  stringSet,
  strings,
} from './json-document.js';
import { shortText } from './short-text.js';

/** An image config, OCI's or Docker's. Fields that neither names are kept as they came; `null` ones are absent. */
export interface ImageConfig {
  /** The processor in Go's words; empty where the image does not say. */
  readonly architecture: string;
  /** The operating system in Go's words; empty where the image does not say. */
  readonly os: string;
  readonly 'os.version'?: string | undefined;
  readonly 'os.features'?: readonly string[] | undefined;
  readonly variant?: string | undefined;
  /** RFC 3339, as it came. */
  readonly created?: string | undefined;
  readonly author?: string | undefined;
  /** How a container of the image starts. */
  readonly config?: ContainerConfig | undefined;
  readonly rootfs: {
    readonly type: 'layers';
    /** The digests of the uncompressed layers, base first. */
    readonly diff_ids: readonly Digest[];
  };
  readonly history?: readonly HistoryEntry[] | undefined;
  /** Docker: the container that the image was committed from. */
  readonly container?: string | undefined;
  /** Docker: what that container ran with. */
  readonly container_config?: ContainerConfig | undefined;
  /** Docker: the version of the engine that built the image. */
  readonly docker_version?: string | undefined;
  /** Docker: the image ID of schema 1. */
  readonly id?: string | undefined;
  /** Docker: the parent's image ID. */
  readonly parent?: string | undefined;
}

/** What a container of the image runs with unless told otherwise. Docker's fields stand beside OCI's. */
export interface ContainerConfig {
  readonly User?: string | undefined;
  /** Keys as in `8080/tcp`. */
  readonly ExposedPorts?: Readonly<Record<string, object>> | undefined;
  /** `NAME=value`. */
  readonly Env?: readonly string[] | undefined;
  readonly Entrypoint?: readonly string[] | undefined;
  readonly Cmd?: readonly string[] | undefined;
  /** Keys are paths in the container. */
  readonly Volumes?: Readonly<Record<string, object>> | undefined;
  readonly WorkingDir?: string | undefined;
  readonly Labels?: Readonly<Record<string, string>> | undefined;
  readonly StopSignal?: string | undefined;
  /** Windows: the command line is one string and escaped already. */
  readonly ArgsEscaped?: boolean | undefined;
  readonly Memory?: number | undefined;
  readonly MemorySwap?: number | undefined;
  readonly CpuShares?: number | undefined;
  readonly Healthcheck?: Healthcheck | undefined;
  readonly AttachStderr?: boolean | undefined;
  readonly AttachStdin?: boolean | undefined;
  readonly AttachStdout?: boolean | undefined;
  readonly Domainname?: string | undefined;
  readonly Hostname?: string | undefined;
  readonly Image?: string | undefined;
  readonly MacAddress?: string | undefined;
  readonly NetworkDisabled?: boolean | undefined;
  readonly OnBuild?: readonly string[] | undefined;
  readonly OpenStdin?: boolean | undefined;
  readonly Shell?: readonly string[] | undefined;
  readonly StdinOnce?: boolean | undefined;
  /** Seconds. */
  readonly StopTimeout?: number | undefined;
  readonly Tty?: boolean | undefined;
}

/** Docker's health check. Durations are nanoseconds; 0 and absent mean: inherited. */
export interface Healthcheck {
  /** `['NONE']`, `['CMD', …]` or `['CMD-SHELL', command]`. */
  readonly Test?: readonly string[] | undefined;
  readonly Interval?: number | undefined;
  readonly Timeout?: number | undefined;
  readonly StartPeriod?: number | undefined;
  readonly StartInterval?: number | undefined;
  readonly Retries?: number | undefined;
}

/** One step of an image's making. Those without `empty_layer` correspond, in order, to the layers. */
export interface HistoryEntry {
  /** RFC 3339, as it came. */
  readonly created?: string | undefined;
  readonly created_by?: string | undefined;
  readonly author?: string | undefined;
  readonly comment?: string | undefined;
  readonly empty_layer?: boolean | undefined;
}

/** The most diffIDs that a config may have: as many as a manifest may have layers. */
export const MAX_DIFF_IDS = 1000;

/** The most steps that a history may have. */
export const MAX_HISTORY_ENTRIES = 10_000;

const KIND: DocumentKind = { name: 'image config', code: 'ERR_CONFIG_INVALID', lists: ['diff_ids'] };

const text = v.optional(v.string());
const flag = v.optional(v.boolean());
const count = v.optional(v.number());
const list = v.optional(strings);

/** Docker reads a single string where a list of arguments is meant, and old images have it. */
const words = v.optional(v.union([v.string(), strings], 'a list of strings'));

const containerSchema = v.pipe(
  jsonObject,
  v.looseObject({
    User: text,
    ExposedPorts: v.optional(stringSet),
    Env: list,
    Entrypoint: words,
    Cmd: words,
    Volumes: v.optional(stringSet),
    WorkingDir: text,
    Labels: v.optional(stringMap),
    StopSignal: text,
    ArgsEscaped: flag,
    Memory: count,
    MemorySwap: count,
    CpuShares: count,
    Healthcheck: v.optional(
      v.pipe(
        jsonObject,
        v.looseObject({
          Test: words,
          Interval: count,
          Timeout: count,
          StartPeriod: count,
          StartInterval: count,
          Retries: count,
        }),
      ),
    ),
    AttachStderr: flag,
    AttachStdin: flag,
    AttachStdout: flag,
    Domainname: text,
    Hostname: text,
    Image: text,
    MacAddress: text,
    NetworkDisabled: flag,
    OnBuild: list,
    OpenStdin: flag,
    Shell: words,
    StdinOnce: flag,
    StopTimeout: count,
    Tty: flag,
  }),
);

const historySchema = v.pipe(
  jsonObject,
  v.looseObject({ created: text, created_by: text, author: text, comment: text, empty_layer: flag }),
);

const schema = v.pipe(
  jsonObject,
  v.looseObject({
    rootfs: v.pipe(jsonObject, v.looseObject({ type: v.literal('layers'), diff_ids: v.array(digestSchema) })),
    architecture: v.string(),
    os: v.string(),
    'os.version': text,
    'os.features': list,
    variant: text,
    created: text,
    author: text,
    config: v.optional(containerSchema),
    history: v.optional(v.array(historySchema)),
    container: text,
    container_config: v.optional(containerSchema),
    docker_version: text,
    id: text,
    parent: text,
  }),
);

/**
 * Reads an image config. What a container starts with is checked for its types only: `Env` entries without `=` and
 * dates that are none are passed on as they came, since no root file system depends on them. An architecture or a
 * system that is left out is empty: not said; a `rootfs` without a type is one of layers, without diffIDs one of none.
 * The specification's own fields are read in any case, as `rootfS`: so published images have them, and engines run these.
 * Those of `config` are checked in any case and kept as they came; `readImageConfig` names them.
 *
 * @throws RootfsError `ERR_CONFIG_INVALID`, `ERR_LIMIT_EXCEEDED` (bytes, depth, `MAX_DIFF_IDS`, `MAX_HISTORY_ENTRIES`)
 */
export function parseImageConfig(bytes: Uint8Array, options: ParseOptions = {}): ImageConfig {
  const { subject = KIND.name } = options;
  const given = readJsonObject(bytes, KIND, options);
  refuseTwins(given, subject);
  const document = inKnownCase(given);
  const { rootfs, history } = document as { rootfs?: { diff_ids?: unknown }; history?: unknown };
  if (Array.isArray(rootfs?.diff_ids)) checkLength(rootfs.diff_ids, 'rootfs.diff_ids', MAX_DIFF_IDS, subject);
  if (Array.isArray(history)) checkLength(history, 'history', MAX_HISTORY_ENTRIES, subject);
  settleOmissions(document);
  checkDocument(schema, containerInKnownCase(document), KIND, subject);
  return listAllWords(document as unknown as ImageConfig);
}

/**
 * Reads an image config as engines do: what a container runs with, too, under the specification's names whatever their
 * case in the bytes. One that names its user `user` would else run as root.
 *
 * @throws RootfsError as `parseImageConfig`
 */
export function readImageConfig(bytes: Uint8Array, options: ParseOptions = {}): ImageConfig {
  return listAllWords(containerInKnownCase(parseImageConfig(bytes, options)));
}

function refuseTwins(document: JsonObject, subject: string): void {
  const twins = findTwins(document)?.map((name) => shortText(name));
  if (twins === undefined) return;
  const [one, other] = twins.map((name) => JSON.stringify(name));
  throw new RootfsError(
    'ERR_CONFIG_INVALID',
    `${subject}: the ${KIND.name} has ${one} and ${other}, which some clients take for one field; ask who publishes it`,
    { detail: { subject, fields: twins } },
  );
}

/** The specification asks for these, but builders have left them out, and every engine runs their images. */
function settleOmissions(document: JsonObject): void {
  for (const name of ['architecture', 'os']) document[name] ??= '';
  const { rootfs } = document as { rootfs?: { type?: unknown; diff_ids?: unknown } };
  if (typeof rootfs !== 'object') return;
  if (rootfs.type === undefined || rootfs.type === '') rootfs.type = 'layers';
  // So Docker and buildah write an image without layers; one that has some is refused, for the two lists differ.
  rootfs.diff_ids ??= [];
}

function listAllWords(config: ImageConfig): ImageConfig {
  for (const part of [config.config, config.container_config]) {
    listWords(part);
    listWords(part?.Healthcheck);
  }
  return config;
}

function listWords(part: object | undefined): void {
  if (part === undefined) return;
  const fields = part as Record<string, unknown>;
  for (const name of ['Entrypoint', 'Cmd', 'Shell', 'Test']) {
    const value = fields[name];
    if (typeof value === 'string') fields[name] = value === '' ? [] : [value];
  }
}
