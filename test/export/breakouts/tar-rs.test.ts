/** Published advisories of tar-rs and the crates that come from it. */
import { paxEntry } from '../../../src/testing/tar-entry.js';
import { layer, testBreakouts } from '../../support/breakout.js';

const refused = ['ERR_LAYER_INVALID'];
const hidden = (): Buffer => layer().file('smuggled', 'x').end('').tar();

testBreakouts([
  {
    id: 'CVE-2018-20990',
    what: 'a hard link to a file outside, then a file of that name',
    layers: ({ outside }) => [layer().hardlink('a', `${outside}/secret`).file('a', 'mine')],
    holds: () => ({ a: 'file' }),
  },
  {
    id: 'CVE-2018-20990',
    what: 'a symbolic link to a file outside, then a file of that name',
    layers: ({ outside }) => [layer().symlink('a', `${outside}/secret`).file('a', 'mine')],
    holds: () => ({ a: 'file' }),
  },
  {
    id: 'CVE-2021-38511',
    what: 'directories below a link are made inside',
    layers: ({ outside }) => [layer().symlink('a', outside).dir('a/new/deep')],
    holds: ({ inside }) => ({ [`${inside}/new/deep`]: 'directory' }),
  },
  {
    id: 'CVE-2026-33056',
    what: 'a link, then a directory entry of its name, whose mode stays inside',
    layers: ({ outside }) => [layer().symlink('a', `${outside}/dir`).dir('a', { mode: 0o777 })],
    holds: () => ({ a: 'directory' }),
  },
  {
    id: 'RUSTSEC-2026-0113',
    what: 'the same with a slash and a relative target',
    layers: ({ up }) => [layer().symlink('a', `${up}/dir`).dir('a/', { mode: 0o1777 })],
    holds: () => ({ a: 'directory' }),
  },
  {
    id: 'CVE-2026-33055',
    what: 'a PAX size wins over a size in the header that is not zero',
    layers: () => [
      layer()
        .raw(paxEntry('x', { size: String(hidden().length) }))
        .entry({ name: 'outer', type: '0', size: 512 }, hidden())
        .file('after', 'y'),
    ],
    holds: () => ({ outer: 'file', after: 'file', smuggled: undefined }),
  },
  {
    id: 'GHSA-3pv8-6f4r-ffg2',
    what: 'a PAX header before a GNU long name belongs to the file',
    layers: () => [
      layer()
        .raw(paxEntry('x', { size: String(hidden().length) }))
        .entry({ name: '././@LongLink', type: 'L', magic: 'gnu', size: 6 }, 'outer\0')
        .entry({ name: 'x', type: '0', size: 0 }, hidden())
        .file('after', 'y'),
    ],
    holds: () => ({ after: 'file', smuggled: undefined }),
  },
  {
    id: 'CVE-2025-62518',
    what: 'a tar inside a file whose header says zero is not read',
    layers: () => [
      layer()
        .raw(paxEntry('x', { size: String(hidden().length) }))
        .entry({ name: 'inner.tar', type: '0', size: 0 }, hidden())
        .file('after', 'y'),
    ],
    holds: () => ({ 'inner.tar': 'file', after: 'file', smuggled: undefined }),
  },
  {
    id: 'CVE-2025-59825',
    what: 'links with dots, one after the other',
    layers: ({ outside }) => [
      layer().symlink('a', '.').symlink('a/b', '..').symlink('a/b/c', `../..${outside}`).file('c/secret', 'mine'),
    ],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'RUSTSEC-2026-0112',
    what: 'a PAX header that is no PAX header is refused, not skipped',
    layers: () => [
      layer()
        .raw(paxEntry('x', Buffer.from('not a record at all\n')))
        .file('a', 'x'),
    ],
    refused: ['ERR_TAR_INVALID'],
  },
  {
    id: 'RUSTSEC-2026-0112',
    what: 'a PAX path with dots is refused like any other',
    layers: ({ up }) => [
      layer()
        .raw(paxEntry('x', { path: `${up}/pwned` }))
        .entry({ name: 'fine', type: '0', size: 0 }),
    ],
    refused,
  },
  {
    id: 'RUSTSEC-2026-0112',
    what: 'a PAX link target that leads outside has no target',
    layers: ({ outside }) => [
      layer()
        .raw(paxEntry('x', { linkpath: `${outside}/secret` }))
        .entry({ name: 'h', type: '1', linkname: 'fine', size: 0 }),
    ],
    refused,
  },
]);
