/** `rootfs login REGISTRY`: a credential tried and kept. */
import { checkLogin, RootfsError, storeCredential } from '../../index.js';
import type { Command } from '../command.js';
import { REGISTRY_OPTIONS, required, unreadRegistryArguments } from '../options.js';

/** The command. */
export const login: Command = {
  positionals: [{ name: 'registry', describe: 'A host, or host/namespace; docker.io for Docker Hub', required: true }],
  options: {
    ...REGISTRY_OPTIONS,
    authfile: { type: 'string', describe: "File to keep it in (default Docker's config.json)", group: 'Registry:' },
  },
  examples: [['echo $TOKEN | $0 login ghcr.io -u me --password-stdin', 'tried first, kept only if it is taken']],
  run: async (args, context) => {
    const registry = required(args, 'registry', 'REGISTRY');
    const { signal, onProgress } = context;
    const { credential, authFile, ...options } = await unreadRegistryArguments(args, context.signal);
    if (credential === undefined) {
      throw new RootfsError('ERR_OPTION_INVALID', 'login needs --username and --password-stdin, or --creds');
    }
    await checkLogin(registry, credential, { ...options, signal, onProgress });
    const kept = await storeCredential(registry, credential, { authFile, signal, onProgress });
    context.endProgress();
    const where = kept.helper ?? kept.path;
    context.note(`rootfs: logged in to ${kept.key}; kept in ${where}`);
    if (args['json'] === true) await context.write(`${JSON.stringify(kept)}\n`);
    return undefined;
  },
};
