/** The table of commands. A command's module is loaded when it runs, when its help is shown, or to complete its flags. */
import type { CommandEntry } from './command.js';

/** Every command, in the order `--help` shows them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'extract',
    summary: 'Fetch, verify and write the layers of an image as uncompressed tars',
    load: async () => (await import('./commands/extract.js')).extract,
  },
  {
    name: 'unpack',
    summary: 'Write the merged root file system into one directory',
    load: async () => (await import('./commands/unpack.js')).unpack,
  },
  {
    name: 'flatten',
    summary: 'Write the merged root file system as one tar',
    load: async () => (await import('./commands/flatten.js')).flatten,
  },
  {
    name: 'overlay',
    summary: 'Write one directory a layer for overlayfs, or a writable copy for one run',
    load: async () => (await import('./commands/overlay.js')).overlay,
  },
  {
    name: 'bundle',
    summary: 'Write an OCI runtime bundle: config.json and rootfs/',
    load: async () => (await import('./commands/bundle.js')).bundle,
  },
  {
    name: 'mount',
    summary: 'Mount the root file system of an image without unpacking it',
    load: async () => (await import('./commands/mount.js')).mount,
  },
  {
    name: 'mkfs',
    summary: 'Write the root file system as an erofs, squashfs or ext4 image',
    load: async () => (await import('./commands/mkfs.js')).mkfs,
  },
  {
    name: 'umount',
    summary: 'Take down what mount mounted',
    load: async () => (await import('./commands/umount.js')).umount,
  },
  {
    name: 'inspect',
    summary: 'Show config, platform and layers of an image',
    load: async () => (await import('./commands/inspect.js')).inspect,
  },
  {
    name: 'digest',
    summary: 'Print the digest an image name points at',
    load: async () => (await import('./commands/digest.js')).digest,
  },
  {
    name: 'copy',
    summary: 'Copy an image from any source to any destination, digests kept',
    load: async () => (await import('./commands/copy.js')).copy,
  },
  {
    name: 'pull',
    summary: 'Write an image into an archive for docker load, podman load and skopeo',
    load: async () => (await import('./commands/pull.js')).pull,
  },
  {
    name: 'push',
    summary: 'Copy a local image to a registry',
    load: async () => (await import('./commands/push.js')).push,
  },
  {
    name: 'cache',
    summary: 'List, verify or prune cached images and extracted layers',
    load: async () => (await import('./commands/cache.js')).cache,
  },
  {
    name: 'tags',
    summary: 'List the tags of a repository or a local source',
    load: async () => (await import('./commands/tags.js')).tags,
  },
  {
    name: 'repos',
    summary: 'List the repositories of a registry',
    load: async () => (await import('./commands/repos.js')).repos,
  },
  {
    name: 'instances',
    summary: 'List the images of a repository or a local source with size, tags and times',
    load: async () => (await import('./commands/instances.js')).instances,
  },
  {
    name: 'tag',
    summary: 'Give an image another tag',
    load: async () => (await import('./commands/tag.js')).tag,
  },
  {
    name: 'delete',
    summary: 'Delete an image from its registry or layout',
    load: async () => (await import('./commands/delete.js')).deleteImage,
  },
  {
    name: 'referrers',
    summary: 'List signatures and attestations of an image in its repository or layout',
    load: async () => (await import('./commands/referrers.js')).referrers,
  },
  {
    name: 'manifest',
    summary: 'Print a manifest or index, byte for byte',
    load: async () => (await import('./commands/manifest.js')).manifest,
  },
  {
    name: 'config',
    summary: 'Print the config of an image, byte for byte',
    load: async () => (await import('./commands/config.js')).config,
  },
  {
    name: 'blob',
    summary: 'Print a layer or config, verified',
    load: async () => (await import('./commands/blob.js')).blob,
  },
  {
    name: 'validate',
    summary: 'Check every byte of an image and what it unpacks to, keep nothing',
    load: async () => (await import('./commands/validate.js')).validate,
  },
  {
    name: 'login',
    summary: 'Try a credential at a registry and keep it',
    load: async () => (await import('./commands/login.js')).login,
  },
  {
    name: 'logout',
    summary: 'Forget a kept credential',
    load: async () => (await import('./commands/logout.js')).logout,
  },
  {
    name: 'completion',
    summary: 'Print the completion script for bash, zsh or fish',
    load: async () => (await import('./commands/completion.js')).completion,
  },
];
