/** What a registry says that wants every layer, where foreign ones were not handed on: to push again changes nothing. */
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';

/** With what registries refuse a manifest whose blobs they do not have. */
const NOT_THERE: ReadonlySet<string> = new Set(['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN']);

/**
 * The failure of a copy, with what helps where the registry misses a layer that was left out on purpose; any other comes
 * back as it is.
 *
 * @param left The foreign layers that were not handed on.
 */
export function adviseForeign(error: unknown, left: readonly Descriptor[]): unknown {
  if (!(error instanceof RegistryError)) return error;
  const { code, status, method, url, errors, detail, cause } = error;
  const said = JSON.stringify(errors.filter((entry) => NOT_THERE.has(entry.code)));
  const missing = left.find(({ digest }) => said.includes(digest));
  if (missing === undefined) return error;
  const handOn = 'hand it on where you may (foreignLayers)';
  const isElsewhere = (missing.urls ?? []).length > 0;
  const advice = isElsewhere ? `ask who runs it to allow the URLs of such layers, or ${handOn}` : handOn;
  return new RegistryError(
    code,
    `${new URL(url).host} refuses the image with status ${status}, for its foreign layer ${missing.digest} is not handed on; ${advice}`,
    { status, method, url, errors },
    { cause, detail: { ...detail, digest: missing.digest } },
  );
}
