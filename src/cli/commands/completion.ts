/** `rootfs completion SHELL`: the script a shell loads. It asks `rootfs --complete` for the words. */
import { RootfsError } from '../../index.js';
import type { Command } from '../command.js';
import { required } from '../options.js';

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_rootfs() {
  local IFS=$'\\n'
  COMPREPLY=($(rootfs --complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _rootfs rootfs
`,
  zsh: `#compdef rootfs
_rootfs() {
  local -a found
  found=("\${(@f)$(rootfs --complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${#found} )) && [[ -n "\${found[1]}" ]]; then compadd -a found
  else compset -P '--*='; compset -P '(oci|oci-archive|docker-archive|dir):'; _files
  fi
}
if [[ "\${funcstack[1]}" == _rootfs ]]; then _rootfs "$@"; else compdef _rootfs rootfs; fi
`,
  fish: `function __rootfs_completes
  set -l words (commandline -opc) (commandline -ct)
  set -g __rootfs_words (rootfs --complete $words[2..-1] 2>/dev/null)
  test -n "$__rootfs_words"
end
complete -c rootfs -f -n __rootfs_completes -a '$__rootfs_words'
`,
};

/** The command. */
export const completion: Command = {
  positionals: [{ name: 'shell', describe: 'bash, zsh or fish', required: true }],
  options: {},
  examples: [
    ['source <($0 completion bash)', 'for this shell; put the line into ~/.bashrc to keep it'],
    ['$0 completion fish > ~/.config/fish/completions/rootfs.fish', 'for fish'],
  ],
  run: async (args, context) => {
    const shell = required(args, 'shell', 'SHELL');
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${JSON.stringify(shell)} is no shell we complete for; choose bash, zsh or fish`,
      );
    }
    await context.write(args['json'] === true ? `${JSON.stringify(script)}\n` : script);
    return undefined;
  },
};
