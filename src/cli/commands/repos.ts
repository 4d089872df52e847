/** `rootfs repos REGISTRY`: the repositories of a registry. */
import { createRegistryClient } from '../../index.js';
import type { Command } from '../command.js';
import { REGISTRY_OPTIONS, registryArguments, required } from '../options.js';
import { printList } from '../print-list.js';

/** The command. */
export const repos: Command = {
  positionals: [{ name: 'registry', describe: 'A host, as in localhost:5000', required: true }],
  options: REGISTRY_OPTIONS,
  examples: [['$0 repos localhost:5000', 'one repository a line; many public registries do not tell']],
  run: async (args, context) => {
    const registry = required(args, 'registry', 'REGISTRY');
    const { signal, onProgress } = context;
    const client = createRegistryClient({ ...(await registryArguments(args, signal)), signal, onProgress });
    const list = client.listRepositories(registry, { signal, onProgress });
    await printList(args, context, list, (repository) => repository);
    return undefined;
  },
};
