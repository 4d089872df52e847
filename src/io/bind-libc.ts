/** The calls of `Native`, bound to libc. This file knows how Linux numbers things, and nothing of images. */
import { closeSync, readSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type { Native, NativePath, NativeTime } from './native-calls.js';

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const SEEK_SET = 0;
const FALLOC_FL_KEEP_SIZE = 1;
const ENODATA = 61;
const ERANGE = 34;
const XATTR_MAX = 65536;
// The same numbers on every 64-bit machine.
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOSE_ON_EXEC = 1;
const MOUNT_ATTR_RDONLY = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/** Binds the calls. @throws where libc lacks one */
export function bindLibc(koffi: typeof import('koffi')): Native {
  const libc = koffi.load(null);
  const lsetxattr = libc.func('int lsetxattr(const void *path, const void *name, const void *value, size_t n, int f)');
  const setxattr = libc.func('int setxattr(const void *path, const void *name, const void *value, size_t n, int f)');
  const fsetxattr = libc.func('int fsetxattr(int fd, const void *name, const void *value, size_t n, int f)');
  const lgetxattr = libc.func('int64_t lgetxattr(const void *path, const void *name, void *value, size_t n)');
  const llistxattr = libc.func('int64_t llistxattr(const void *path, void *list, size_t n)');
  const lremovexattr = libc.func('int lremovexattr(const void *path, const void *name)');
  const mknod = libc.func('int mknod(const void *path, uint32_t mode, uint64_t dev)');
  const mkfifo = libc.func('int mkfifo(const void *path, uint32_t mode)');
  const utimensat = libc.func('int utimensat(int dir, const void *path, const void *times, int flags)');
  const futimens = libc.func('int futimens(int fd, const void *times)');
  const sendfile = libc.func('int64_t sendfile(int into, int from, void *offset, size_t n)');
  const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t n)');
  const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)');
  const mount = libc.func(
    'int mount(const void *from, const void *to, const void *type, uint64_t f, const void *data)',
  );
  const umount2 = libc.func('int umount2(const void *target, int flags)');

  const ioctlBytes = libc.func('int ioctl(int fd, uint64_t request, void *argument)');
  const ioctlNumber = libc.func('int ioctl(int fd, uint64_t request, uint64_t argument)');
  const fsopen = libc.func('int64_t syscall(int64_t n, const void *type, uint64_t flags)');
  const fsconfig = libc.func(
    'int64_t syscall(int64_t n, int64_t fd, uint64_t command, const void *key, const void *value, int64_t aux)',
  );
  const fsmount = libc.func('int64_t syscall(int64_t n, int64_t fd, uint64_t flags, uint64_t attributes)');
  const moveMount = libc.func(
    'int64_t syscall(int64_t n, int64_t from, const void *path, int64_t to, const void *target, uint64_t flags)',
  );

  const check = (result: number, syscall: string, path?: NativePath): void => {
    if (result !== 0) throw systemError(koffi.errno(), syscall, path);
  };

  // Reads a value whose length only the kernel knows: a buffer that nearly always suffices, then one that always does.
  const readAll = (call: (into: Buffer) => number, syscall: string, path: NativePath): Buffer | undefined => {
    for (const size of [1024, XATTR_MAX]) {
      const into = Buffer.allocUnsafe(size);
      const length = call(into);
      if (length >= 0) return into.subarray(0, length);
      const errno = koffi.errno();
      if (errno === ENODATA) return undefined;
      if (errno !== ERANGE || size === XATTR_MAX) throw systemError(errno, syscall, path);
    }
    return undefined;
  };

  const sendFile: Native['sendFile'] = (into, from, position, length) => {
    const moved = Number(sendfile(into, from, new BigInt64Array([BigInt(position)]), length));
    if (moved < 0) throw systemError(koffi.errno(), 'sendfile');
    return moved;
  };

  const aside = (call: typeof sendfile, ...words: unknown[]): Promise<number> =>
    new Promise((resolve, reject) => {
      call.async(...words, (error: unknown, result: unknown) => (error ? reject(error) : resolve(Number(result))));
    });

  return {
    setXattr: (path, name, value) =>
      check(lsetxattr(cString(path), cString(name), value, value.length, 0), 'lsetxattr', path),
    setFollowedXattr: (path, name, value) =>
      check(setxattr(cString(path), cString(name), value, value.length, 0), 'setxattr', path),
    setFileXattr: (fd, name, value) => check(fsetxattr(fd, cString(name), value, value.length, 0), 'fsetxattr'),
    getXattr: (path, name) =>
      readAll((into) => Number(lgetxattr(cString(path), cString(name), into, into.length)), 'lgetxattr', path),
    listXattrs: (path) => {
      const list = readAll((into) => Number(llistxattr(cString(path), into, into.length)), 'llistxattr', path);
      const names: Buffer[] = [];
      for (let at = 0; list !== undefined && at < list.length; ) {
        const end = list.indexOf(0, at);
        names.push(Buffer.from(list.subarray(at, end)));
        at = end + 1;
      }
      return names;
    },
    removeXattr: (path, name) => {
      if (lremovexattr(cString(path), cString(name)) === 0) return;
      const errno = koffi.errno();
      if (errno !== ENODATA) throw systemError(errno, 'lremovexattr', path);
    },
    makeDevice: (path, type, mode, major, minor) => {
      const kind = type === 'char' ? S_IFCHR : S_IFBLK;
      check(mknod(cString(path), kind | (mode & 0o7777), deviceNumber(major, minor)), 'mknod', path);
    },
    makeFifo: (path, mode) => check(mkfifo(cString(path), mode & 0o7777), 'mkfifo', path),
    setTimes: (path, time, follow = false) =>
      check(utimensat(AT_FDCWD, cString(path), timespecs(time), follow ? 0 : AT_SYMLINK_NOFOLLOW), 'utimensat', path),
    setFileTimes: (fd, time) => check(futimens(fd, timespecs(time)), 'futimens'),
    sendFile,
    sendFileAside: async (into, from, position, length) => {
      const moved = await aside(sendfile, into, from, new BigInt64Array([BigInt(position)]), length);
      // Why it failed is known in that thread alone; the same call here fails again.
      return moved < 0 ? sendFile(into, from, position, length) : moved;
    },
    seek: (fd, position) => {
      if (Number(lseek(fd, position, SEEK_SET)) < 0) throw systemError(koffi.errno(), 'lseek');
    },
    keepRoom: async (fd, position, length) => (await aside(fallocate, fd, FALLOC_FL_KEEP_SIZE, position, length)) === 0,
    mount: (source, target, type, flags, data) =>
      check(mount(cString(source), cString(target), cString(type), flags, cString(data)), 'mount', target),
    mountReadOnly: (source, target, type, options) => {
      const done = (result: unknown, syscall: string, fd?: number): number => {
        if (Number(result) >= 0) return Number(result);
        const error = systemError(koffi.errno(), syscall, target);
        const said = fd === undefined ? '' : kernelMessages(fd);
        if (said !== '') error.message += ` (${said})`;
        throw error;
      };
      const context = done(fsopen(SYS_FSOPEN, cString(type), CLOSE_ON_EXEC), 'fsopen');
      try {
        const set = (command: number, key: string | null, value: string | null): void => {
          const words = [key, value].map((word) => (word === null ? null : cString(word)));
          done(fsconfig(SYS_FSCONFIG, context, command, words[0], words[1], 0), 'fsconfig', context);
        };
        set(FSCONFIG_SET_STRING, 'source', source);
        set(FSCONFIG_SET_FLAG, 'ro', null);
        for (const [key, value] of options) set(FSCONFIG_SET_STRING, key, value);
        set(FSCONFIG_CMD_CREATE, null, null);
        const made = done(fsmount(SYS_FSMOUNT, context, CLOSE_ON_EXEC, MOUNT_ATTR_RDONLY), 'fsmount', context);
        try {
          const empty = cString('');
          const at = cString(target);
          done(moveMount(SYS_MOVE_MOUNT, made, empty, AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH), 'move_mount');
        } finally {
          closeSync(made);
        }
      } finally {
        closeSync(context);
      }
    },
    ioctl: (fd, request, argument) => {
      const result =
        typeof argument === 'number' ? ioctlNumber(fd, request, argument) : ioctlBytes(fd, request, argument);
      if (result < 0) throw systemError(koffi.errno(), 'ioctl');
      return result;
    },
    unmount: (target, detach = false) =>
      check(umount2(cString(target), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)), 'umount2', target),
  };
}

/** What the kernel has said on a file system context: each message is one read, `e` for errors first. */
function kernelMessages(fd: number): string {
  const messages: string[] = [];
  const into = Buffer.alloc(1024);
  for (let count = 0; count < 16; count += 1) {
    try {
      messages.push(
        into
          .toString('utf8', 0, readSync(fd, into))
          .trim()
          .replace(/^[ewi] /, ''),
      );
    } catch {
      break;
    }
  }
  return messages.join('; ');
}

/** The bytes of a path or name with the NUL that ends it; one inside would cut it short and is refused. */
function cString(text: NativePath): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  if (bytes.includes(0)) throw systemError(22, 'cString', text);
  const out = Buffer.allocUnsafe(bytes.length + 1);
  out.set(bytes);
  out[bytes.length] = 0;
  return out;
}

/** How glibc and musl pack a device number: 32 bits of each, interleaved. */
function deviceNumber(major: number, minor: number): bigint {
  const a = BigInt(major >>> 0);
  const b = BigInt(minor >>> 0);
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

function timespecs(time: NativeTime): Buffer {
  const words = new BigInt64Array(4);
  words[0] = words[2] = BigInt(time.seconds);
  words[1] = words[3] = BigInt(time.nanoseconds);
  return Buffer.from(words.buffer);
}

/** What the kernel says and Node has no name for. */
const UNNAMED: ReadonlyMap<number, string> = new Map([
  [15, 'ENOTBLK'],
  [117, 'EUCLEAN'],
]);

function systemError(errno: number, syscall: string, path?: NativePath): NodeJS.ErrnoException {
  const code = UNNAMED.get(errno) ?? getSystemErrorName(-errno);
  const where = path === undefined ? '' : ` '${typeof path === 'string' ? path : Buffer.from(path).toString()}'`;
  const error: NodeJS.ErrnoException = new Error(`${code}: ${syscall}${where}`);
  error.code = code;
  error.errno = -errno;
  error.syscall = syscall;
  if (where !== '') error.path = where.slice(2, -1);
  return error;
}
