/** Published breakouts of Docker and moby. */
import { layer, testBreakouts } from '../../support/breakout.js';

testBreakouts([
  {
    id: 'CVE-2014-6407',
    what: 'a file through an absolute symbolic link lands inside',
    layers: ({ outside }) => [layer().symlink('link', outside).file('link/pwned', 'x')],
    holds: ({ outside, inside }) => ({ link: `symlink -> ${outside}`, [`${inside}/pwned`]: 'file' }),
  },
  {
    id: 'CVE-2014-6407',
    what: 'a hard link to an absolute path outside has no target',
    layers: ({ outside }) => [layer().hardlink('stolen', `${outside}/secret`)],
    refused: ['ERR_LAYER_INVALID'],
  },
  {
    id: 'CVE-2014-6407',
    what: 'a hard link to a path with dots that leads outside has no target',
    layers: ({ up }) => [layer().hardlink('stolen', `../${up}/secret`)],
    refused: ['ERR_LAYER_INVALID'],
  },
  {
    id: 'CVE-2014-6407',
    what: 'a hard link through a symbolic link has no target outside',
    layers: ({ outside }) => [layer().symlink('link', outside).hardlink('stolen', 'link/secret')],
    refused: ['ERR_LAYER_INVALID'],
  },
  {
    id: 'CVE-2014-9356',
    what: 'a link of a lower layer does not carry a later layer outside',
    layers: ({ outside }) => [layer().symlink('etc', outside), layer().file('etc/pwned', 'x')],
    holds: ({ inside }) => ({ [`${inside}/pwned`]: 'file' }),
  },
  {
    id: 'CVE-2014-9356',
    what: 'a relative link with more dots than there are folders stays inside',
    layers: ({ outside }) => [
      layer().symlink('a/b', `${'../'.repeat(40)}${outside.slice(1)}`),
      layer().file('a/b/pwned', 'x'),
    ],
    holds: ({ inside }) => ({ [`${inside}/pwned`]: 'file' }),
  },
  {
    id: 'CVE-2014-9356',
    what: 'a whiteout through a link removes nothing outside',
    layers: ({ outside }) => [layer().symlink('etc', outside), layer().whiteout('etc/secret')],
  },
  {
    id: 'CVE-2014-9356',
    what: 'an opaque whiteout through a link removes nothing outside',
    layers: ({ outside }) => [layer().symlink('etc', outside), layer().opaque('etc')],
  },
  {
    id: 'CVE-2015-3627',
    what: 'links into /proc/self/fd and /proc/self/root lead nowhere',
    layers: () => [
      layer().symlink('one', '/proc/self/fd/1').symlink('root', '/proc/self/root'),
      layer().file('one/pwned', 'x').file('root/pwned', 'x'),
    ],
    holds: () => ({ 'proc/self/fd/1/pwned': 'file', 'proc/self/root/pwned': 'file' }),
  },
  {
    id: 'CVE-2018-15664',
    what: 'a directory that becomes a link between two of its files',
    layers: ({ outside }) => [
      layer().dir('d').file('d/victim', 'one').symlink('d', `${outside}/dir`).file('d/victim', 'two'),
    ],
    holds: ({ inside }) => ({ d: `symlink -> /${inside}/dir`, [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2021-41089',
    what: 'a directory entry over a link changes no mode outside',
    layers: ({ outside }) => [layer().symlink('d', `${outside}/dir`), layer().dir('d', { mode: 0o777 })],
    holds: () => ({ d: 'directory' }),
  },
  {
    id: 'CVE-2021-41089',
    what: 'a directory entry below a link changes no mode outside',
    layers: ({ outside }) => [layer().symlink('d', outside).dir('d/dir', { mode: 0o777 })],
    holds: ({ inside }) => ({ [`${inside}/dir`]: 'directory' }),
  },
  {
    id: 'CVE-2026-41568',
    what: 'folders on the way are made inside, never through a link',
    layers: ({ outside }) => [layer().symlink('v', `${outside}/empty`).file('v/new/folder/file', 'x')],
    holds: ({ inside }) => ({ [`${inside}/empty/new/folder/file`]: 'file' }),
  },
  {
    id: 'CVE-2026-42306',
    what: 'a device node through a link stands inside',
    layers: ({ outside }) => [layer().symlink('v', `${outside}/empty`).fifo('v/pipe')],
    holds: ({ inside }) => ({ [`${inside}/empty/pipe`]: 'fifo' }),
  },
]);
