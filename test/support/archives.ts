/** Image archives built in code, in the forms that tools have written over the years. */
import { type Built, type BuiltImage, LayerBuilder } from '../../src/testing/testing.js';

/** How the files of a docker-archive are laid out. */
export type DockerStyle = 'folders' | 'symlinks' | 'hardlinks' | 'blobs' | 'crane';

/** One image of a docker-archive. */
export interface ArchivedFixture {
  readonly built: BuiltImage;
  readonly tags?: readonly string[] | null;
}

/** Options of `dockerArchive`. */
export interface DockerArchiveOptions {
  readonly style?: DockerStyle;
  /** Stands before every name. */
  readonly prefix?: string;
  readonly manifestFirst?: boolean;
  /** Layers as their blobs are, not uncompressed. */
  readonly compressed?: boolean;
  /** Names that are left out. */
  readonly without?: (name: string) => boolean;
  /** An OCI layout lies beside `manifest.json`. */
  readonly layout?: boolean;
  /** Stands in `manifest.json` instead of the list. */
  readonly manifest?: unknown;
}

type Writer = (tar: LayerBuilder, name: string) => void;

/** Builds a docker-archive. */
export function dockerArchive(images: readonly ArchivedFixture[], options: DockerArchiveOptions = {}): Buffer {
  const { style = 'folders', prefix = '', layout = style === 'blobs' } = options;
  const files = new Map<string, Writer>();
  const file = (name: string, content: Uint8Array | string): void => {
    files.set(name, (tar, at) => tar.file(at, content));
  };
  const list = images.map(({ built, tags }) => ({
    Config: configName(style, built.manifest.config.digest),
    RepoTags: tags === undefined ? ['example/app:v1'] : tags,
    Layers: built.layers.map(({ tar, blob, diffId, descriptor }, at) => {
      const bytes = options.compressed === true ? blob : tar;
      const hex = (options.compressed === true ? descriptor.digest : diffId).slice(7);
      const folder = `${at}${hex.slice(0, 62)}/layer.tar`;
      if (style === 'blobs') file(`blobs/sha256/${hex}`, bytes);
      else if (style === 'crane') file(`${hex}.tar.gz`, bytes);
      else if (style === 'folders') file(folder, bytes);
      else {
        file(`${hex}.tar`, bytes);
        const target = style === 'symlinks' ? `../${hex}.tar` : `${prefix}${hex}.tar`;
        files.set(folder, (tarball, name) =>
          style === 'symlinks' ? tarball.symlink(name, target) : tarball.hardlink(name, target),
        );
      }
      return style === 'blobs' ? `blobs/sha256/${hex}` : style === 'crane' ? `${hex}.tar.gz` : folder;
    }),
  }));
  for (const { built } of images) file(configName(style, built.manifest.config.digest), built.configBytes);
  if (layout) {
    for (const { built } of images) file(blobName(built.descriptor.digest), built.manifestBytes);
    file('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
    const manifests = images.map(({ built }) => built.descriptor);
    file('index.json', JSON.stringify({ schemaVersion: 2, manifests }));
  }
  const manifest = JSON.stringify(options.manifest ?? list);
  const all: [string, Writer][] = [...files];
  const entry: [string, Writer] = ['manifest.json', (tar, name) => tar.file(name, manifest)];
  if (options.manifestFirst === true) all.unshift(entry);
  else all.push(entry);
  const tar = new LayerBuilder();
  for (const [name, write] of all) if (options.without?.(name) !== true) write(tar, `${prefix}${name}`);
  return tar.tar();
}

/** Builds an OCI archive. */
export function ociArchive(refs: Readonly<Record<string, Built>>, prefix = ''): Buffer {
  const tar = new LayerBuilder().dir(`${prefix}blobs/`).dir(`${prefix}blobs/sha256/`);
  for (const built of Object.values(refs)) {
    for (const [digest, bytes] of built.blobs) tar.file(`${prefix}${blobName(digest)}`, bytes);
  }
  const manifests = Object.entries(refs).map(([name, { descriptor }]) => ({
    ...descriptor,
    annotations: { 'org.opencontainers.image.ref.name': name },
  }));
  tar.file(`${prefix}index.json`, JSON.stringify({ schemaVersion: 2, manifests }));
  return tar.file(`${prefix}oci-layout`, '{"imageLayoutVersion":"1.0.0"}').tar();
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function configName(style: DockerStyle, digest: string): string {
  if (style === 'blobs') return blobName(digest);
  return style === 'crane' ? digest : `${digest.slice(7)}.json`;
}
