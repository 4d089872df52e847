/** What a command line runs of the program, in a word. */
import { splitTransport } from '../index.js';
import { findCommand } from './find-command.js';

/**
 * The command and the kinds of places in the line, as `copy.docker.oci`: lines of one kind run about the same code. The
 * value of an option may be taken for a registry's image, `docker`.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for lines that name no command
 */
export function lineKind(argv: readonly string[]): string {
  const { name = 'help', words } = findCommand(argv);
  const kinds = words.filter((word) => !word.startsWith('-')).map((word) => splitTransport(word).transport);
  return [name, ...[...new Set(kinds)].sort()].join('.');
}
