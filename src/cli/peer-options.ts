/** Options as crane, skopeo, umoci, podman and docker spell them: for messages that say what they are called here. */

const HERE: ReadonlyMap<string, readonly string[]> = new Map([
  ['insecure', ['plain-http', 'no-tls-verify']],
  ['insecure-skip-tls-verify', ['no-tls-verify']],
  ['src-tls-verify', ['tls-verify']],
  ['dest-tls-verify', ['tls-verify']],
  ['cert-dir', ['ca-file']],
  ['src-cert-dir', ['ca-file']],
  ['dest-cert-dir', ['ca-file']],
  ['src-creds', ['creds']],
  ['dest-creds', ['creds']],
  ['src-no-creds', ['no-creds']],
  ['dest-no-creds', ['no-creds']],
  ['src-authfile', ['authfile']],
  ['dest-authfile', ['authfile']],
  ['user', ['username']],
  ['p', ['password-stdin']],
  ['password', ['password-stdin']],
  ['override-os', ['os']],
  ['override-arch', ['arch']],
  ['override-variant', ['platform']],
  ['variant', ['platform']],
  ['multi-arch', ['platform']],
  ['all', ['platform']],
  ['retry-times', ['retry']],
  ['command-timeout', ['timeout']],
  ['f', ['json']],
  ['format', ['json']],
  ['v', ['debug']],
  ['verbose', ['debug']],
  ['log-level', ['debug']],
  ['o', ['dst']],
  ['output', ['dst']],
  ['C', ['dst']],
]);

/** Options of `skopeo inspect` that are commands here. */
const COMMANDS: ReadonlyMap<string, string> = new Map([
  ['raw', 'manifest'],
  ['config', 'config'],
]);

/** What this command's `options` call what others call `name`; none where it has no such thing. */
export function fromPeers(name: string, options: readonly string[]): readonly string[] {
  return (HERE.get(name) ?? []).filter((one) => options.includes(one));
}

/** The command that is here what others have as the option `name`. */
export function commandFromPeers(name: string): string | undefined {
  return COMMANDS.get(name);
}
