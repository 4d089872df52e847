/** What the native calls are: their names, what they take, what they promise. */

/** A path: text is UTF-8, a buffer is taken as it is. Neither may hold a NUL. */
export type NativePath = string | Uint8Array;

/** A moment for the kernel: whole seconds since the epoch (may be negative) and 0 to 999,999,999 nanoseconds. */
export interface NativeTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/**
 * The calls. Each is synchronous, but for those that answer with a promise, and throws what Node's own would: an `Error`
 * with `code` (`EPERM`, …), `errno`, `syscall` and `path`. A last component that is a symbolic link is never followed
 * unless a call says so.
 */
export interface Native {
  /** Sets an extended attribute; the name is bytes. */
  setXattr(path: NativePath, name: Uint8Array, value: Uint8Array): void;
  /** Sets an extended attribute of what a symbolic link points at: for the links of /proc/self/fd. */
  setFollowedXattr(path: NativePath, name: Uint8Array, value: Uint8Array): void;
  /** Sets an extended attribute of an open file. */
  setFileXattr(fd: number, name: Uint8Array, value: Uint8Array): void;
  /** Reads an extended attribute, or `undefined` where there is none of that name. */
  getXattr(path: NativePath, name: Uint8Array): Buffer | undefined;
  /** Lists the names of extended attributes. */
  listXattrs(path: NativePath): Buffer[];
  /** Removes an extended attribute; one that is not there is success. */
  removeXattr(path: NativePath, name: Uint8Array): void;
  /** Makes a device node. */
  makeDevice(path: NativePath, type: 'char' | 'block', mode: number, major: number, minor: number): void;
  /** Makes a FIFO. */
  makeFifo(path: NativePath, mode: number): void;
  /** Sets access and modification time to `time`. With `follow`, of what a symbolic link points at. */
  setTimes(path: NativePath, time: NativeTime, follow?: boolean): void;
  /** Sets access and modification time of an open file to `time`. */
  setFileTimes(fd: number, time: NativeTime): void;
  /**
   * Moves bytes from a regular file to an open file, pipe or socket without a copy through this process.
   *
   * @param from Descriptor of a regular file; its position is not moved.
   * @returns how many bytes were moved: less than `length` where the other side takes no more, 0 at the file's end
   */
  sendFile(into: number, from: number, position: number, length: number): number;
  /** As `sendFile`, in another thread. Neither file may be closed before it has settled. */
  sendFileAside(into: number, from: number, position: number, length: number): Promise<number>;
  /** Moves the position of an open file. */
  seek(fd: number, position: number): void;
  /**
   * Has the file system keep room for bytes that will be written, in another thread; the file does not become longer.
   * It may not be closed before this has settled.
   *
   * @returns whether it does
   */
  keepRoom(fd: number, position: number, length: number): Promise<boolean>;
  /** Mounts. `flags` of `MountFlag`, `data` as the file system reads it, at most 4,095 bytes. */
  mount(source: string, target: string, type: string, flags: number, data: string): void;
  /**
   * Mounts read-only with options given one by one, which no limit of one page binds. What the kernel says of a
   * failure stands in the error's message. `source` and each value take at most 255 bytes.
   *
   * @param options Names and values, in an order that may matter.
   * @throws besides the system's errors one with the code `ENOSYS` before Linux 5.2, or where a filter forbids it
   */
  mountReadOnly(source: string, target: string, type: string, options: readonly (readonly [string, string])[]): void;
  /** A control call on an open device; its result, which is not negative. */
  ioctl(fd: number, request: number, argument: number | Uint8Array): number;
  /** Unmounts; with `detach` at once for new users, and really when the last one has gone. */
  unmount(target: string, detach?: boolean): void;
}
