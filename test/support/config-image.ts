/** As much of an image as its config says. */
import type { Image } from '../../src/image/image.js';
import { image } from '../../src/testing/image-builder.js';

/** An image with these execution parameters (`User`, `Env`, `Cmd`, …) and no layers. */
export function configImage(config: Readonly<Record<string, unknown>>): Image {
  const built = image().config(config).build();
  const descriptor = built.manifest.config;
  return {
    reference: 'test',
    target: built.descriptor,
    manifest: { descriptor: built.descriptor, bytes: built.manifestBytes, value: built.manifest },
    config: { descriptor, bytes: built.configBytes, value: built.config },
    platform: built.platform,
    layers: [],
  };
}
