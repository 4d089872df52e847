/** Published breakouts of buildah, podman and containers/storage. */
import { layer, testBreakouts } from '../../support/breakout.js';

const refused = ['ERR_LAYER_INVALID'];

testBreakouts([
  ...['../outside/pwned', 'a/../../outside/pwned', '/../outside/pwned', './../x', 'a/..', '..'].map((name) => ({
    id: 'CVE-2020-10696',
    what: `a file named ${name}`,
    layers: () => [layer().dir('a').file(name, 'x')],
    refused,
  })),
  {
    id: 'CVE-2020-10696',
    what: 'a directory with dots in its name',
    layers: () => [layer().dir('a/../../outside/dir', { mode: 0o777 })],
    refused,
  },
  {
    id: 'CVE-2020-10696',
    what: 'an absolute name is one inside',
    layers: ({ outside }) => [layer().file(`${outside}/secret`, 'mine')],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'CVE-2019-10152',
    what: 'a chain of links, relative and absolute',
    layers: ({ outside }) => [
      layer().symlink('a', 'b').symlink('b', '/c').symlink('c', '../../d').symlink('d', outside),
      layer().file('a/dir/victim', 'mine'),
    ],
    holds: ({ inside }) => ({ [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2019-18466',
    what: 'names that a glob would match are names',
    layers: ({ outside }) => [layer().symlink('*', outside).file('*/dir/[a-z]*', 'x').file('?', 'y')],
    holds: ({ inside }) => ({ '?': 'file', [`${inside}/dir/[a-z]*`]: 'file' }),
  },
  {
    id: 'CVE-2023-0778',
    what: 'a volume folder that is a link',
    layers: ({ outside }) => [
      layer().symlink('var/lib/data', outside),
      layer().dir('var/lib/data/dir', { mode: 0o777 }),
    ],
    holds: ({ inside }) => ({ [`${inside}/dir`]: 'directory' }),
  },
  {
    id: 'CVE-2024-1753',
    what: 'a link to the root is the root of the image',
    layers: () => [
      layer().symlink('r', '/').symlink('d', '..'),
      layer().file('r/pwned', 'x').file('d/d/r/d/again', 'x'),
    ],
    holds: () => ({ pwned: 'file', again: 'file' }),
  },
  {
    id: 'CVE-2024-9675',
    what: 'a cache folder that is a link up and out',
    layers: ({ up }) => [layer().symlink('cache', `../../../..${up.slice(2)}`), layer().file('cache/secret', 'mine')],
    holds: () => ({ 'outside/secret': 'file' }),
  },
  {
    id: 'CVE-2024-9341',
    what: 'folders below /etc that are links out of it',
    layers: ({ outside }) => [
      layer().symlink('etc/crypto-policies', outside),
      layer().dir('etc/crypto-policies/empty'),
    ],
    holds: ({ inside }) => ({ [`${inside}/empty`]: 'directory' }),
  },
  {
    id: 'CVE-2024-11218',
    what: 'a hard link to something a later layer turns into a link',
    layers: ({ outside }) => [
      layer().file('a', 'a').hardlink('b', 'a'),
      layer().symlink('a', `${outside}/secret`).hardlink('c', 'a'),
      layer().file('c', 'mine', { mode: 0o777 }),
    ],
    holds: ({ outside }) => ({ a: `symlink -> ${outside}/secret`, b: 'file', c: 'file' }),
  },
  {
    id: 'CVE-2025-11395',
    what: 'a hard link of a later layer through a link of a lower one',
    layers: ({ outside }) => [layer().symlink('a', outside), layer().hardlink('stolen', 'a/secret')],
    refused,
  },
  {
    id: 'CVE-2025-11395',
    what: 'a file over a hard link to a link changes nothing outside',
    layers: ({ outside }) => [layer().symlink('a', `${outside}/secret`).hardlink('b', 'a').file('b', 'mine')],
    holds: () => ({ b: 'file' }),
  },
]);
