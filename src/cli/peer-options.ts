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
  // Spelt like `--dest-creds`, and nothing is compressed anew here.
  ['dest-compress', []],
]);

/** Commands whose namesakes elsewhere shape what they print with it; to others it is a kind of manifest, or force. */
const ONLY_OF: ReadonlyMap<string, readonly string[]> = new Map([
  ['f', ['inspect']],
  ['format', ['inspect', 'manifest', 'config', 'digest', 'tags', 'repos', 'instances', 'referrers', 'cache']],
]);

/** Options of `skopeo inspect` that are commands here. */
const COMMANDS: ReadonlyMap<string, string> = new Map([
  ['raw', 'manifest'],
  ['config', 'config'],
]);

/**
 * What the `options` of `command` are called that others call `name`; none where it has no such thing.
 *
 * @returns `undefined` where others have no option of that name
 */
export function fromPeers(name: string, options: readonly string[], command: string): readonly string[] | undefined {
  if (ONLY_OF.get(name)?.includes(command) === false) return [];
  return HERE.get(name)?.filter((one) => options.includes(one));
}

/** The command that is here what others have as the option `name` of `command`. */
export function commandFromPeers(name: string, command: string): string | undefined {
  const meant = COMMANDS.get(name);
  return meant === command ? undefined : meant;
}
