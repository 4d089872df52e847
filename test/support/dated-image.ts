/** Images of one small layer for lists: when they were made, and how large they are. */
import { type BuiltImage, image } from '../../src/testing/testing.js';

/** An image whose config says when it was made, if anything. */
export function datedImage(text: string, created?: string): BuiltImage {
  return image()
    .configFields({ created })
    .layer((layer) => layer.file('x', text))
    .build();
}

/** All bytes of an image: its manifest, its config and its layers. */
export function imageBytes({ manifest, manifestBytes }: BuiltImage): number {
  return [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, manifestBytes.length);
}
