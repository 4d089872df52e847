/**
 * Chains of layers: a chainID names a layer together with everything below it.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid
 */
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { digestOf } from '../io/digest-of.js';
import { type Digest, isDigest, requireVerifiable } from '../spec/digest.js';
import { changeJsonFile, readJsonFile } from './json-file.js';

/** The most layers that stand on each other. */
const MAX_LAYERS = 1000;

/** The chainID of layers, base first. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_OPTION_INVALID` for no layer */
export function chainIdOf(diffIds: readonly Digest[]): Digest {
  const [base, ...rest] = diffIds;
  if (base === undefined) throw new RootfsError('ERR_OPTION_INVALID', 'a chain has at least one layer');
  for (const diffId of diffIds) requireVerifiable(diffId);
  return rest.reduce((chain, diffId) => digestOf(`${chain} ${diffId}`), base);
}

/** Notes in a store which layers stand on which. @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM` */
export async function recordChain(store: string, diffIds: readonly Digest[]): Promise<void> {
  for (let length = diffIds.length; length > 0; length -= 1) {
    const chain = diffIds.slice(0, length);
    const path = chainPath(store, chainIdOf(chain));
    let known = false;
    await changeJsonFile(path, (value) => {
      known = value !== undefined;
      return known ? undefined : { version: 1, diffIds: chain };
    });
    // Whoever noted this one noted those below it.
    if (known) return;
  }
}

/** The layers of a chain, base first, as they were noted. @throws RootfsError `ERR_NOT_FOUND` */
export async function readChain(store: string, chainId: Digest): Promise<readonly Digest[]> {
  const value = await readJsonFile(chainPath(store, chainId));
  const list = (value as { readonly diffIds?: unknown } | undefined)?.diffIds;
  const diffIds = (Array.isArray(list) ? (list as unknown[]) : []).filter(
    (one): one is Digest => typeof one === 'string' && isDigest(one),
  );
  if (diffIds.length > 0 && diffIds.length <= MAX_LAYERS && chainIdOf(diffIds) === chainId) return diffIds;
  throw new RootfsError('ERR_NOT_FOUND', `${chainId}: no such chain of layers in ${store}; pull the image again`, {
    detail: { chainId, store },
  });
}

function chainPath(store: string, chainId: Digest): string {
  const { algorithm, encoded } = requireVerifiable(chainId);
  return join(store, 'chains', algorithm, `${encoded}.json`);
}
