/** Published breakouts of other extractors: scanners, builders, archivers, languages. */
import { layer, testBreakouts } from '../../support/breakout.js';

const refused = ['ERR_LAYER_INVALID'];

testBreakouts([
  {
    id: 'CVE-2025-5981 (osv-scalibr)',
    what: 'a link out of the image, then a file through it',
    layers: ({ outside }) => [layer().symlink('usr/lib/escape', outside).file('usr/lib/escape/secret', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'CVE-2025-5981 (osv-scalibr)',
    what: 'a relative link that climbs out of the image',
    layers: ({ up }) => [layer().symlink('a/b/escape', `../../../${up}`), layer().file('a/b/escape/secret', 'mine')],
    holds: () => ({ 'outside/secret': 'file' }),
  },
  {
    id: 'go-containerregistry#2227',
    what: 'names with dots never come into the flattened tar',
    layers: () => [layer().file('../../etc/cron.d/pwned', 'x')],
    refused,
  },
  {
    id: 'go-containerregistry#2227',
    what: 'absolute names are relative in the flattened tar',
    layers: () => [layer().file('/etc/cron.d/pwned', 'x')],
    holds: () => ({ 'etc/cron.d/pwned': 'file' }),
  },
  {
    id: 'go-containerregistry#2227',
    what: 'no name of the flattened tar goes through a link',
    layers: ({ outside }) => [layer().symlink('a', outside).file('a/pwned', 'x')],
    holds: ({ outside, inside }) => ({ a: `symlink -> ${outside}`, [`${inside}/pwned`]: 'file' }),
  },
  {
    id: 'go-containerregistry#2002',
    what: 'replacing the first name of a hard link leaves the other',
    layers: () => [layer().file('a', 'one').hardlink('b', 'a'), layer().symlink('a', '/etc/passwd')],
    holds: () => ({ a: 'symlink -> /etc/passwd', b: 'file' }),
  },
  {
    id: 'CVE-2024-24579 (stereoscope)',
    what: 'a layer with names that climb',
    layers: () => [layer().dir('ok'), layer().file('ok/../../../outside/pwned', 'x')],
    refused,
  },
  {
    id: 'CVE-2026-50163 (oras-go)',
    what: 'a hard link is not looked up in the working directory',
    layers: () => [layer().hardlink('stolen', 'package.json')],
    refused,
  },
  {
    id: 'GHSA-j6hm-v3x2-qv6j (oras-java)',
    what: 'a link to a folder outside and a file below',
    layers: ({ outside }) => [layer().symlink('payload/dir', `${outside}/dir`).file('payload/dir/victim', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2026-46703 (boxlite)',
    what: 'an absolute link to a folder of the host, and a file whose path goes through it',
    layers: ({ outside }) => [layer().symlink('escape', '/').file(`escape${outside}/pwned.txt`, 'x')],
    holds: ({ inside }) => ({ [`${inside}/pwned.txt`]: 'file' }),
  },
  {
    id: 'GHSA-qq3r-w4hj-gjp6 (apko)',
    what: 'a directory through a link of an earlier layer',
    layers: ({ outside }) => [layer().symlink('lib', outside), layer().dir('lib/new').file('lib/new/x', 'x')],
    holds: ({ inside }) => ({ [`${inside}/new/x`]: 'file' }),
  },
  {
    id: 'CVE-2024-23652 (buildkit)',
    what: 'cleaning up through a link removes nothing outside',
    layers: ({ outside }) => [layer().symlink('mnt', `${outside}/empty`), layer().whiteout('mnt').whiteout('mnt/x')],
    holds: () => ({ mnt: undefined }),
  },
  {
    id: 'CVE-2026-28406 (kaniko)',
    what: 'a destination that only starts like the root',
    layers: () => [layer().file('../root-of-another/pwned', 'x')],
    refused,
  },
  {
    id: 'CVE-2007-4559 (tarfile)',
    what: 'dots in every kind of entry',
    layers: ({ up }) => [layer().symlink(`${up}/link`, 'x')],
    refused,
  },
  {
    id: 'CVE-2007-4559 (tarfile)',
    what: 'dots in a device',
    layers: ({ up }) => [layer().device(`${up}/null`, 'char', 1, 3)],
    refused,
  },
  {
    id: 'CVE-2007-4559 (tarfile)',
    what: 'dots in a hard link',
    layers: ({ up }) => [layer().file('a', 'a').hardlink(`${up}/a`, 'a')],
    refused,
  },
  {
    id: 'CVE-2024-12718 (tarfile)',
    what: 'mode and times of the root and of what a link points at',
    layers: ({ outside }) => [layer().dir('./', { mode: 0o700, mtime: 1 }).symlink('a', outside, { mtime: 2 })],
    holds: ({ outside }) => ({ a: `symlink -> ${outside}` }),
  },
  {
    id: 'CVE-2025-4330 (tarfile)',
    what: 'a link whose target passes through another link',
    layers: ({ outside }) => [layer().symlink('a', outside).symlink('b', 'a/dir').file('b/victim', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2025-4138 (tarfile)',
    what: 'links that only resolve outside after others were made',
    layers: ({ outside }) => [
      layer().symlink('b', 'a/secret').symlink('a', outside).hardlink('c', 'b').file('c', 'mine'),
    ],
    holds: () => ({ c: 'file' }),
  },
  {
    id: 'CVE-2025-4517 (tarfile)',
    what: 'a path longer than the system resolves at once',
    layers: ({ outside }) => {
      const part = 'd'.repeat(200);
      const deep = layer();
      let path = '';
      for (let depth = 0; depth < 15; depth++) {
        deep.dir(`${path}${part}`).symlink(`${path}s`, part);
        path += `${part}/`;
      }
      const short = 's/'.repeat(15);
      return [deep.symlink(`${path}up`, `${'../'.repeat(40)}${outside.slice(1)}`).file(`${short}up/secret`, 'mine')];
    },
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'CVE-2016-6321 (GNU tar)',
    what: 'dots in the middle of a name are refused, not cut off',
    layers: () => [layer().file('a/../etc/shadow', 'x')],
    refused,
  },
  {
    id: 'CVE-2025-45582 (GNU tar)',
    what: 'a link of one archive, a file of the next',
    layers: ({ outside }) => [layer().symlink('x', `${outside}/dir`), layer().file('x/victim', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/dir/victim`]: 'file' }),
  },
  {
    id: 'CVE-2011-5325 (busybox)',
    what: 'a link and a file of the same name',
    layers: ({ outside }) => [layer().symlink('a', `${outside}/secret`).file('./a', 'mine').file('/a', 'again')],
    holds: () => ({ a: 'file' }),
  },
  {
    id: 'CVE-2016-5418 (libarchive)',
    what: 'a hard link with data, to a link that points outside',
    layers: ({ outside }) => [
      layer().symlink('s', `${outside}/secret`).entry({ name: 'h', type: '1', linkname: 's', size: 4 }, 'mine'),
    ],
    refused: ['ERR_TAR_INVALID', 'ERR_LAYER_INVALID'],
  },
  {
    id: 'CVE-2021-23177 (libarchive)',
    what: 'an access list of a link is not set on what it points at',
    layers: ({ outside }) => [layer().symlink('s', `${outside}/dir`).dir('d', { mode: 0o755 })],
    holds: ({ outside }) => ({ s: `symlink -> ${outside}/dir` }),
  },
  {
    id: 'CVE-2021-31566 (libarchive)',
    what: 'what is done last is done to the entry, not to what a link in its place points at',
    layers: ({ outside }) => [layer().dir('d', { mode: 0o777, mtime: 1 }), layer().symlink('d', `${outside}/dir`)],
    holds: ({ outside }) => ({ d: `symlink -> ${outside}/dir` }),
  },
  {
    id: 'CVE-2024-12905 (tar-fs)',
    what: 'a link and a hard link through it',
    layers: ({ outside }) => [layer().symlink('a', outside).hardlink('b', 'a/dir/victim')],
    refused,
  },
  {
    id: 'CVE-2025-48387 (tar-fs)',
    what: 'a link to a sibling of the root whose name begins like it',
    layers: () => [layer().symlink('a', '../root2').file('a/pwned', 'x')],
    holds: () => ({ 'root2/pwned': 'file' }),
  },
  {
    id: 'CVE-2025-59343 (tar-fs)',
    what: 'a link to the empty way up and a file through it',
    layers: () => [layer().symlink('a', '..').symlink('a/b', '..').file('a/b/pwned', 'x')],
    holds: () => ({ pwned: 'file' }),
  },
  {
    id: 'CVE-2024-0406 (archiver)',
    what: 'a file below a link to a folder of the host',
    layers: ({ outside }) => [layer().symlink('cache', outside).file('cache/empty/pwned', 'x')],
    holds: ({ inside }) => ({ [`${inside}/empty/pwned`]: 'file' }),
  },
  {
    id: 'CVE-2024-1485 (devfile)',
    what: 'cleaning up after a failure removes nothing outside',
    layers: ({ outside }) => [
      layer()
        .symlink('a', outside)
        .file(`b/${'n'.repeat(256)}`, 'x'),
    ],
    refused: ['ERR_LIMIT_EXCEEDED', 'ERR_FILESYSTEM'],
  },
  {
    id: 'CVE-2026-39822 (Go)',
    what: 'a slash behind the name of a link does not follow it',
    layers: ({ outside }) => [layer().symlink('f', `${outside}/secret`).symlink('d', `${outside}/dir`), slashed()],
    holds: () => ({ f: 'file', d: 'directory' }),
  },
  {
    id: 'CVE-2026-17106 (moby/go-archive)',
    what: 'a hard link through a link of its own layer, and a file over it',
    layers: ({ outside }) => [layer().symlink('a', outside).hardlink('b', 'a/dir/victim').file('b', 'mine')],
    holds: () => ({ b: 'file' }),
  },
  {
    id: 'CVE-2026-17106 (moby/go-archive)',
    what: 'a link that is made anew between two files below it',
    layers: ({ outside }) => [
      layer().symlink('a', 'b').file('a/one', '1').symlink('a', outside).file('a/secret', 'mine'),
    ],
    holds: ({ inside }) => ({ 'b/one': 'file', [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'CVE-2026-42496, CVE-2026-42497 (Archive::Tar)',
    what: 'owner, mode and times of a hard link are not set on a file outside',
    layers: ({ up }) => [layer().hardlink('h', `${up}/dir/victim`, { mode: 0o4777, uid: 1, gid: 1, mtime: 1 })],
    refused,
  },
  {
    id: 'CVE-2026-4360 (tarfile)',
    what: 'a hard link brings no owner of its own to what it names',
    layers: () => [layer().file('a', 'a', { mode: 0o600 }).hardlink('b', 'a', { mode: 0o4777, uid: 0, gid: 0 })],
    holds: () => ({ a: 'file', b: 'file' }),
  },
  {
    id: 'CVE-2026-26157, CVE-2026-26158 (busybox)',
    what: 'a chain of hard links over a link to the outside',
    layers: ({ outside }) => [
      layer()
        .symlink('a', `${outside}/secret`)
        .hardlink('b', 'a')
        .hardlink('c', 'b')
        .file('c', 'mine')
        .file('a', 'mine'),
    ],
    holds: ({ outside }) => ({ a: 'file', b: `symlink -> ${outside}/secret`, c: 'file' }),
  },
  {
    id: 'CVE-2026-29064, CVE-2025-8959, CVE-2026-24846 (zarf, go-getter, malcontent)',
    what: 'a link with dots to a folder outside, then a device, a FIFO and a folder through it',
    layers: ({ up }) => [
      layer().dir('x').symlink('x/up', `../../${up}`).fifo('x/up/pipe').dir('x/up/new').symlink('x/up/secret', '/etc'),
    ],
    holds: () => ({ 'outside/pipe': 'fifo', 'outside/new': 'directory', 'outside/secret': 'symlink -> /etc' }),
  },
  {
    id: 'CVE-2024-29068, CVE-2024-29069 (snapd)',
    what: 'pipes and links in the places that are read afterwards',
    layers: ({ outside }) => [layer().fifo('etc/passwd').symlink('etc/group', `${outside}/secret`).fifo('meta/icon')],
    holds: ({ outside }) => ({ 'etc/passwd': 'fifo', 'etc/group': `symlink -> ${outside}/secret` }),
  },
  {
    id: 'CVE-2018-1002207, CVE-2018-1002203, CVE-2018-25046 (archivers)',
    what: 'dots behind a name that is there',
    layers: () => [layer().dir('a').symlink('a/b', '.').file('a/b/../../../outside/secret', 'x')],
    refused,
  },
  {
    id: 'CVE-2020-12265, CVE-2026-56876, CVE-2024-47877 (decompress, extract-zip, extract)',
    what: 'a link to a file outside, and a file of its name in a later layer',
    layers: ({ outside }) => [layer().symlink('a', `${outside}/secret`), layer().file('a', 'mine', { mode: 0o777 })],
    holds: () => ({ a: 'file' }),
  },
]);

/** A file and a directory whose names end in a slash. */
function slashed(): ReturnType<typeof layer> {
  return layer().entry({ name: 'f/', type: '0', size: 4 }, 'mine').dir('d', { mode: 0o777 });
}
