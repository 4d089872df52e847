/** Published breakouts of umoci, and what its own hardening looks for. */
import { layer, testBreakouts } from '../../support/breakout.js';

const refused = ['ERR_LAYER_INVALID'];

testBreakouts([
  ...['.', './', '/', './.', '//'].map((name) => ({
    id: 'CVE-2021-29136',
    what: `the root as a symbolic link, named ${JSON.stringify(name)}`,
    layers: ({ outside }: { outside: string }) => [layer().symlink(name, outside), layer().file('pwned', 'x')],
    refused,
  })),
  {
    id: 'CVE-2021-29136',
    what: 'the root as a hard link',
    layers: () => [layer().file('a', 'x').hardlink('.', 'a')],
    refused,
  },
  {
    id: 'CVE-2021-29136',
    what: 'the root as a file',
    layers: () => [layer().file('./', 'x')],
    refused,
  },
  ...['.wh.', '.wh..', '.wh...', 'a/.wh.', 'a/.wh..', 'a/b/.wh...'].map((name) => ({
    id: 'umoci-bare-whiteout',
    what: `a whiteout of nothing that can be named: ${name}`,
    layers: () => [layer().dir('a/b').file('a/b/c', 'x'), layer().file(name, '')],
    refused,
  })),
  {
    id: 'umoci-whiteout-escape',
    what: 'a whiteout of a path with dots',
    layers: ({ up }) => [layer().dir('a'), layer().file(`a/../../${up.slice(3)}/.wh.secret`, '')],
    refused,
  },
  {
    id: 'umoci-whiteout-escape',
    what: 'a whiteout whose folder is a link',
    layers: ({ outside }) => [layer().symlink('up', `${outside}/dir`), layer().whiteout('up/victim').opaque('up')],
  },
]);
