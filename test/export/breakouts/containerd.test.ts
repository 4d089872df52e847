/** Published breakouts of containerd. */
import { layer, testBreakouts } from '../../support/breakout.js';

testBreakouts([
  {
    id: 'CVE-2021-32760',
    what: 'the mode of a file that replaces a link is not set on what the link pointed at',
    layers: ({ outside }) => [layer().symlink('f', `${outside}/secret`), layer().file('f', 'x', { mode: 0o777 })],
    holds: () => ({ f: 'file' }),
  },
  {
    id: 'CVE-2021-32760',
    what: 'a hard link to a symbolic link passes no mode on',
    layers: ({ outside }) => [layer().symlink('s', `${outside}/secret`).hardlink('h', 's', { mode: 0o777 })],
    holds: ({ outside }) => ({ h: `symlink -> ${outside}/secret` }),
  },
  {
    id: 'CVE-2021-32760',
    what: 'owner and times of a symbolic link are its own',
    layers: ({ outside }) => [layer().symlink('s', `${outside}/dir`, { mode: 0o777, mtime: 1, uid: 0, gid: 0 })],
    holds: ({ outside }) => ({ s: `symlink -> ${outside}/dir` }),
  },
  {
    id: 'CVE-2021-32760',
    what: 'extended attributes of a symbolic link are not set on what it points at',
    layers: ({ outside }) => [
      layer()
        .symlink('s', `${outside}/secret`)
        .dir('s', { xattrs: { 'user.pwned': 'x' } }),
    ],
    holds: () => ({ s: 'directory' }),
  },
  {
    id: 'CVE-2025-47290',
    what: 'a path that was a directory when it was checked and is a link when it is used',
    layers: ({ outside }) => [
      layer().dir('a/b').file('a/b/one', '1'),
      layer().whiteout('a/b').symlink('a/b', outside).file('a/b/secret', 'pwned'),
    ],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'CVE-2025-47290',
    what: 'a link that becomes a directory again keeps what comes after inside',
    layers: ({ outside }) => [
      layer().symlink('a', outside).dir('a').file('a/secret', 'mine'),
      layer().symlink('a', outside).whiteout('a'),
      layer().file('a/dir/victim', 'pwned'),
    ],
    holds: ({ inside }) => ({ [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2026-53489',
    what: 'a file that is a link to something outside is written as a link, never read',
    layers: ({ outside }) => [layer().symlink('container.log', `${outside}/secret`)],
    holds: ({ outside }) => ({ 'container.log': `symlink -> ${outside}/secret` }),
  },
]);
