import { MemoryStore } from '../../src/content/memory.js';
import { pushBuilt, readContract, writeContract } from './target-contract.js';

readContract('memory', async (_t, built) => {
  const target = new MemoryStore();
  await pushBuilt(target, built, 'v1');
  return { target, reference: 'v1' };
});

writeContract('memory', async () => new MemoryStore());
