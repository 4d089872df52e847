/** `rootfs logout REGISTRY`: a kept credential forgotten. */
import { eraseCredential, RootfsError } from '../../index.js';
import type { Command } from '../command.js';
import { required, text } from '../options.js';

/** The command. */
export const logout: Command = {
  positionals: [{ name: 'registry', describe: 'A host, or host/namespace; docker.io for Docker Hub', required: true }],
  options: {
    authfile: { type: 'string', describe: "File it is kept in (default Docker's config.json)", group: 'Registry:' },
  },
  examples: [['$0 logout ghcr.io', 'other registries stay as they are']],
  run: async (args, context) => {
    const registry = required(args, 'registry', 'REGISTRY');
    const { signal, onProgress } = context;
    const gone = await eraseCredential(registry, { authFile: text(args, 'authfile'), signal, onProgress });
    context.endProgress();
    if (!gone.erased) {
      throw new RootfsError('ERR_NOT_FOUND', `not logged in to ${gone.key}: ${gone.path} has no credentials for it`, {
        detail: { key: gone.key, path: gone.path },
      });
    }
    context.note(`rootfs: logged out of ${gone.key}`);
    if (args['json'] === true) await context.write(`${JSON.stringify(gone)}\n`);
    return undefined;
  },
};
