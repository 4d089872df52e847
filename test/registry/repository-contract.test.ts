import type { TestContext } from 'node:test';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { startRegistry } from '../../src/testing/testing.js';
import { pushBuilt, readContract, writeContract } from '../content/target-contract.js';

async function open(t: TestContext): Promise<RegistryRepository> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  return createRepository(`${registry.host}/team/app`);
}

readContract('test registry', async (t, built) => {
  const target = await open(t);
  await pushBuilt(target, built, 'v1');
  return { target, reference: 'v1' };
});

writeContract('test registry', open);
