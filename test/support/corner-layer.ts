/** A layer of what only root can give a file on disk, and anybody in an image. */
import { LayerBuilder } from '../../src/testing/testing.js';

const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

/** Setuid, devices, FIFOs, capabilities, owners, odd names, closed directories, holes. */
export function cornerLayer(): LayerBuilder {
  return new LayerBuilder()
    .dir('bin', { mode: 0o755, mtime: 1_500_000_000 })
    .file('bin/su', 'su', { mode: 0o4755, uid: 0, gid: 0 })
    .file('bin/ping', 'ping', { mode: 0o755, xattrs: { 'security.capability': CAPABILITY, 'user.empty': '' } })
    .device('dev/null', 'char', 1, 3, { mode: 0o666 })
    .device('dev/sda', 'block', 8, 0)
    .device('dev/large', 'char', 511, 70_000)
    .device('dev/odd "name', 'char', 1, 5)
    .fifo('run/pipe', { mode: 0o600 })
    .hardlink('run/pipe-again', 'run/pipe')
    .file('home/app/file', 'of a user', { uid: 3_000_000, gid: 70_000, mode: 0o640 })
    .file('home/new\nline', 'x', { uid: 7, gid: 8 })
    .hardlink('home/link', 'home/app/file')
    .symlink('home/shadow', '/etc/shadow')
    .dir('secret', { mode: 0 })
    .file('secret/unreadable', 'no', { mode: 0 })
    .sparse('holes', { size: 3_000_000, extents: [{ offset: 4096, content: 'a' }] });
}
