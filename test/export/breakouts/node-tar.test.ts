/** All published advisories of node-tar, 2021 to 2026, that concern extraction. */
import { paxEntry } from '../../../src/testing/tar-entry.js';
import { layer, testBreakouts } from '../../support/breakout.js';

const refused = ['ERR_LAYER_INVALID'];

testBreakouts([
  ...['////outside', '//./outside', '/', './/'].map((start) => ({
    id: 'GHSA-3jfq-g458-7qm9',
    what: `leading slashes, however many: ${start}`,
    layers: () => [layer().file(`${start}/pwned`, 'x')],
    holds: () => ({ [`${start.replace(/^[./]+/, '')}/pwned`.replace(/^\//, '')]: 'file' }),
  })),
  {
    id: 'GHSA-3jfq-g458-7qm9',
    what: 'an absolute path with several slashes and a link on its way',
    layers: ({ outside }) => [layer().symlink('l', `//${outside}`).file('////l/secret', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'GHSA-r628-mhmh-qjhw',
    what: 'a directory, then a link in its place, then a file below',
    layers: ({ outside }) => [layer().dir('x').symlink('x', outside).file('x/secret', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'GHSA-r628-mhmh-qjhw',
    what: 'the same with a trailing slash on the link',
    layers: ({ outside }) => [layer().dir('x/').symlink('x/', `${outside}/`).file('x/secret', 'mine')],
    holds: ({ inside }) => ({ [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'GHSA-9r2w-394v-53qc',
    what: 'backslashes are characters of a name',
    layers: ({ outside }) => [layer().dir('a\\x').symlink('a/x', outside).file('a\\x/secret', 'mine')],
    holds: () => ({ 'a\\x/secret': 'file' }),
  },
  {
    id: 'GHSA-9r2w-394v-53qc',
    what: 'names that differ by a backslash are two names',
    layers: ({ outside }) => [layer().dir('d').symlink('\\d', outside).file('\\d/secret', 'mine').file('d/x', 'x')],
    holds: ({ inside }) => ({ 'd/x': 'file', [`${inside}/secret`]: 'file' }),
  },
  {
    id: 'GHSA-qq89-hq3f-393p',
    what: 'names that only a normalising file system takes for one are two',
    layers: ({ outside }) => [layer().dir('caf\u00e9').symlink('cafe\u0301', outside).file('caf\u00e9/secret', 'mine')],
    holds: () => ({ [Buffer.from('caf\u00e9/secret').toString('latin1')]: 'file' }),
  },
  {
    id: 'GHSA-qq89-hq3f-393p',
    what: 'short names of Windows are names',
    layers: ({ outside }) => [layer().dir('program files').symlink('PROGRA~1', outside).file('program files/x', 'x')],
    holds: ({ outside }) => ({ 'program files/x': 'file', 'PROGRA~1': `symlink -> ${outside}` }),
  },
  {
    id: 'GHSA-5955-9wpr-37jh',
    what: 'drive letters are characters of a name, dots behind them are refused',
    layers: () => [layer().file('C:../outside/pwned', 'x').file('c:/pwned', 'y').file('//?/c:/pwned', 'z')],
    holds: () => ({ 'C:../outside/pwned': 'file', 'c:/pwned': 'file', '?/c:/pwned': 'file' }),
  },
  {
    id: 'GHSA-5955-9wpr-37jh',
    what: 'a drive letter does not hide dots',
    layers: () => [layer().file('C:/../outside/pwned', 'x')],
    refused,
  },
  {
    id: 'GHSA-f5x3-32g6-xq36',
    what: 'more folders on top of one another than anybody needs',
    layers: () => [layer().file(`${'a/'.repeat(300)}x`, 'x')],
    refused: ['ERR_LIMIT_EXCEEDED'],
  },
  {
    id: 'GHSA-8qq5-rm4j-mr97',
    what: 'a hard link to an absolute path, a link to one',
    layers: ({ outside }) => [layer().symlink('s', `${outside}/secret`).hardlink('h', `${outside}/secret`)],
    refused,
  },
  {
    id: 'GHSA-8qq5-rm4j-mr97',
    what: 'a link to an absolute path is kept and not followed by a file of its name',
    layers: ({ outside }) => [layer().symlink('s', `${outside}/secret`).file('s', 'mine')],
    holds: () => ({ s: 'file' }),
  },
  {
    id: 'GHSA-r6q2-hw4h-h46w',
    what: 'letters that some file systems fold are different',
    layers: ({ outside }) => [layer().symlink('stra\u00dfe', outside).file('strasse/secret', 'mine')],
    holds: () => ({ 'strasse/secret': 'file' }),
  },
  {
    id: 'GHSA-34x7-hfp2-rc4v',
    what: 'the target of a hard link is relative to the root, not to its folder',
    layers: ({ up }) => [layer().dir('a/b/c').hardlink('a/b/c/stolen', `../${up}/secret`)],
    refused,
  },
  {
    id: 'GHSA-34x7-hfp2-rc4v',
    what: 'dots in the target of a hard link stay inside',
    layers: ({ up }) => [
      layer()
        .file('outside/secret', 'mine')
        .hardlink('a/b/got', `${'../'.repeat(9)}${up}/secret`),
    ],
    holds: () => ({ 'a/b/got': 'file' }),
  },
  {
    id: 'GHSA-83g3-92jg-28cx',
    what: 'a hard link through a chain of links',
    layers: ({ outside }) => [
      layer()
        .dir('a/b')
        .symlink('a/b/up', '../..')
        .symlink('a/escape', 'b/up/../..')
        .hardlink('exfil', `a/escape${outside}/secret`),
    ],
    refused,
  },
  {
    id: 'GHSA-29xp-372q-xqph',
    what: 'a file that says it is longer than the tar shows no memory',
    layers: () => [layer().entry({ name: 'a', type: '0', size: 100_000 }, 'short').end('')],
    refused: ['ERR_TAR_INVALID'],
  },
  {
    id: 'GHSA-qffp-2rhf-9h96',
    what: 'a hard link to a drive-relative path',
    layers: () => [layer().hardlink('h', 'C:../outside/secret')],
    refused,
  },
  {
    id: 'GHSA-9ppj-qmqm-q256',
    what: 'a symbolic link to a drive-relative path is a name',
    layers: () => [layer().symlink('s', 'C:../../../outside/secret').file('s', 'mine')],
    holds: () => ({ s: 'file' }),
  },
  {
    id: 'GHSA-vmf3-w455-68vh',
    what: 'a size of a PAX header is that of the file, not of the long name before it',
    layers: () => {
      const hidden = layer().file('smuggled', 'x').end('').tar();
      return [
        layer()
          .raw(paxEntry('x', { size: String(hidden.length) }))
          .entry({ name: '././@LongLink', type: 'L', magic: 'gnu', size: 9 }, 'long-name')
          .entry({ name: 'short', type: '0', size: 0 }, hidden)
          .file('after', 'y'),
      ];
    },
    holds: () => ({ smuggled: undefined, after: 'file' }),
  },
  {
    id: 'GHSA-23hp-3jrh-7fpw',
    what: 'a file that says it has more bytes than any disk',
    layers: () => [
      layer()
        .raw(paxEntry('x', { size: '9007199254740991' }))
        .entry({ name: 'a', type: '0', size: 0 }),
    ],
    refused: ['ERR_TAR_INVALID', 'ERR_LIMIT_EXCEEDED'],
  },
]);
