/** What a command line runs of the program, in a word. */
import { findCommand } from './find-command.js';

const LOCAL = ['oci', 'oci-archive', 'docker-archive', 'dir', 'docker-daemon'];

/**
 * The command and the kinds of places in the line, as `copy.oci.other`: lines of one kind run about the same code.
 * `other` is a registry, or the value of an option.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for lines that name no command
 */
export function lineKind(argv: readonly string[]): string {
  const { name = 'help', words } = findCommand(argv);
  const places = words.filter((word) => !word.startsWith('-'));
  const kinds = places.map((word) => LOCAL.find((kind) => word.startsWith(`${kind}:`)) ?? 'other');
  return [name, ...[...new Set(kinds)].sort()].join('.');
}
