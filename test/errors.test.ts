import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSystemError, RegistryError, RootfsError, wrapSystemError } from '../src/errors.js';

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

test('what a system call threw becomes a code and says what to do', () => {
  const cases: readonly (readonly [errno: string, code: string, advice: RegExp])[] = [
    ['ENOSPC', 'ERR_NO_SPACE', /; free some space or choose another folder$/],
    ['EDQUOT', 'ERR_NO_SPACE', /; free some space/],
    ['EACCES', 'ERR_PERMISSION', /; ask for access, or choose another place$/],
    ['EPERM', 'ERR_PERMISSION', /; ask for access/],
    ['EROFS', 'ERR_PERMISSION', /; ask for access/],
    ['EMFILE', 'ERR_FILESYSTEM', /; allow more open files \(ulimit -n\)$/],
    ['EFBIG', 'ERR_FILESYSTEM', /; allow larger files \(ulimit -f\)/],
    ['EMLINK', 'ERR_FILESYSTEM', /; choose a file system that allows a file more names/],
    ['ENAMETOOLONG', 'ERR_FILESYSTEM', /; choose a shorter path$/],
    ['EPIPE', 'ERR_FILESYSTEM', /; what reads it has ended too early; start both again$/],
    ['EEXIST', 'ERR_FILESYSTEM', /; something else is there; remove it, or choose another place$/],
    ['ENOTDIR', 'ERR_FILESYSTEM', /; something on this path is no folder; remove it, or choose another path$/],
    ['EISDIR', 'ERR_FILESYSTEM', /; a folder is there; remove it, or choose another path$/],
    ['ELOOP', 'ERR_FILESYSTEM', /; symbolic links on this path lead in a circle; choose another path$/],
    ['ENOSYS', 'ERR_FILESYSTEM', /; this file system cannot do that; choose another$/],
    ['ENOTSUP', 'ERR_FILESYSTEM', /; this file system cannot do that/],
    ['EIO', 'ERR_FILESYSTEM', /: EIO: it failed$/],
  ];
  for (const [errno, code, advice] of cases) {
    const cause = failure(errno);
    const error = wrapSystemError(cause, '/a/path');
    assert.deepEqual([error.code, error.detail, error.cause], [code, { subject: '/a/path', errno }, cause]);
    assert.match(error.message, /^\/a\/path: /);
    assert.match(error.message, advice);
    // Where a limit is reached, the advice of the caller does not help.
    const isLimit = ['EMFILE', 'EFBIG', 'EMLINK', 'ENAMETOOLONG', 'EPIPE', 'ENOSYS', 'ENOTSUP'].includes(errno);
    assert.match(wrapSystemError(cause, '/a/path', 'do this').message, isLimit ? advice : /; do this$/);
  }
  for (const [said, reason] of [
    ["EACCES: permission denied, mkdir '/proc/self/fd/20/.x.rootfs-1'", 'EACCES: permission denied'],
    ["EACCES: permission denied, symlink '../it's' -> '/proc/self/fd/20/x'", 'EACCES: permission denied'],
    ["EACCES: permission denied, link '/proc/self/fd/20/x' -> '/proc/self/fd/21/y'", 'EACCES: permission denied'],
    // as the calls say it that Node has not
    ["EACCES: mknod '/proc/self/fd/20/x'", 'EACCES: mknod'],
  ] as const) {
    const inside = Object.assign(new Error(said), { code: 'EACCES' });
    assert.equal(wrapSystemError(inside, '/a/x').message, `/a/x: ${reason}; ask for access, or choose another place`);
  }
  const refused = Object.assign(new Error('fchmod API is disabled.'), { code: 'ERR_ACCESS_DENIED' });
  const { code, message } = wrapSystemError(refused, '/a/x', 'do this');
  assert.equal(code, 'ERR_PERMISSION');
  assert.equal(message, '/a/x: fchmod API is disabled; Node was started with --permission; start it without');
  const coded = new RootfsError('ERR_NOT_FOUND', 'x: not here');
  assert.equal(wrapSystemError(coded, '/a/path', 'do this'), coded);
});

test('what a wrong argument or a broken stream raises is no failure of the system, though it has a code', () => {
  for (const code of ['ENOENT', 'E2BIG', 'ERR_ACCESS_DENIED', 'ERR_FS_FILE_TOO_LARGE']) {
    assert.equal(isSystemError(failure(code)), true, code);
  }
  for (const code of ['ERR_INVALID_URL', 'ERR_INVALID_ARG_TYPE', 'ERR_STREAM_PREMATURE_CLOSE', 'NoSuchKey', '']) {
    assert.equal(isSystemError(failure(code)), false, code);
  }
  for (const value of [undefined, null, 'ENOENT', {}, new Error('x'), new RootfsError('ERR_FILESYSTEM', 'x: no')]) {
    assert.equal(isSystemError(value), false);
  }
});

test('errors of another copy of this package are known as what they are; a subclass knows its own only', async () => {
  const url = new URL('../src/errors.js?another=copy', import.meta.url).href;
  const other = (await import(url)) as typeof import('../src/errors.js');
  assert.notEqual(other.RootfsError, RootfsError);
  const facts = { status: 404, method: 'GET', url: 'http://localhost/v2/' };
  const plain = new other.RootfsError('ERR_NOT_FOUND', 'x: not here');
  const answer = new other.RegistryError('ERR_DENIED', 'x: no', facts);
  assert.ok(plain instanceof RootfsError);
  assert.ok(answer instanceof RootfsError);
  assert.ok(answer instanceof RegistryError);
  assert.equal(plain instanceof RegistryError, false);
  assert.equal(wrapSystemError(plain, '/a/path'), plain);
  class Mine extends RootfsError {}
  assert.ok(new Mine('ERR_NOT_FOUND', 'x') instanceof RootfsError);
  assert.equal(plain instanceof Mine, false);
  for (const value of [undefined, null, 5, 'text', {}, new Error('x')])
    assert.equal(value instanceof RootfsError, false);
  assert.deepEqual(Object.keys(plain).sort(), ['code', 'detail', 'name']);
});
