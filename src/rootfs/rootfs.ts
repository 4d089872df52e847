/**
 * Many layers in order: the root file system as open handles.
 *
 * This room knows layers and the images they belong to; it must not know output forms.
 */
import type { Image } from '../image/image.js';
import type { LayerHandle } from '../layer/layer.js';

/** The layers of an image, extracted and open, base first. Owns its handles: `close` closes all of them. */
export interface RootFS extends AsyncDisposable {
  readonly image: Image;
  readonly layers: readonly LayerHandle[];
  close(): Promise<void>;
}
