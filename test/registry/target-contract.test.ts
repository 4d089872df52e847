import type { TestContext } from 'node:test';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import { type Built, startRegistry } from '../../src/testing/testing.js';
import { readContract, writeContract } from '../content/target-contract.js';

async function repository(t: TestContext, content?: Built): Promise<RegistryRepository> {
  const registry = await startRegistry();
  t.after(() => registry.close());
  if (content !== undefined) registry.add('team/app', 'v1', content);
  return createRepository(`${registry.host}/team/app`);
}

readContract('registry', async (t, built) => ({ target: await repository(t, built), reference: 'v1' }));

writeContract('registry', (t) => repository(t));
