/** The contract of every store, kept by Debian's docker-registry through our client. */
import { after, before, type TestContext, test } from 'node:test';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { pushBuilt, readContract, writeContract } from '../content/target-contract.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry');
if (skip !== false) {
  test('docker-registry keeps the contract', { skip });
} else {
  let registry: DockerRegistry;
  let count = 0;
  // Here: what is said inside of `before` ends with that.
  const ends = { after };
  const folder = tempDir(ends, 'contract');
  before(async () => {
    registry = await startDockerRegistry(folder);
  });
  atEnd(ends, () => registry.stop());

  const open = async (_: TestContext): Promise<RegistryRepository> => createRepository(`${registry.host}/c${count++}`);

  readContract('docker-registry', async (t, built) => {
    const target = await open(t);
    await pushBuilt(target, built, 'v1');
    return { target, reference: `${target.registry}/${target.repository}:v1` };
  });

  writeContract('docker-registry', open);
}
