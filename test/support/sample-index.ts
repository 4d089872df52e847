/** An index of two images that share a layer, with an attestation: what a copy has to keep whole. */
import { type BuiltImage, type BuiltIndex, image, index } from '../../src/testing/testing.js';

/** The index and its two images. */
export interface SampleIndex {
  readonly built: BuiltIndex;
  readonly amd64: BuiltImage;
  readonly arm64: BuiltImage;
}

/** Builds it. @param filler Bytes of each layer's own file. */
export function sampleIndex(filler = 100_000): SampleIndex {
  const shared = (name: string) =>
    image()
      .platform(name)
      .layer((layer) => layer.dir('etc/').file('etc/os', 'shared'))
      .layer((layer) => layer.file('data', Buffer.alloc(filler, name)));
  const amd64 = shared('linux/amd64').build();
  const arm64 = shared('linux/arm64').build();
  return { built: index().add(amd64).add(arm64).attestation(amd64).build(), amd64, arm64 };
}
