/** What a layer is compressed with: its first bytes say it, its media type only whether it is a layer that is read. Pure. */
import { RootfsError } from '../errors.js';

/** The compressions that are read. */
export type Compression = 'gzip' | 'zstd' | 'none';

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const LZ4 = [0x04, 0x22, 0x4d, 0x18];
const BZIP2 = [0x42, 0x5a, 0x68];
const BZIP2_BLOCK = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];

/** A tar layer by its media type: OCI's and Docker's, distributable or not, with any suffix for the compression. */
const LAYER_TYPE =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1|docker\.image\.rootfs\.(?:foreign\.)?diff)\.tar(?:[.+][a-z0-9.+]+)?$/;
/** Encrypted as ocicrypt does it; `+enc` is how it began. */
const ENCRYPTED = /\+enc(?:rypted)?$/;
const SUPPORTED_SUFFIX = /\.tar(?:[.+](?:gzip|zstd))?$/;

/**
 * Says whether a media type is one of a tar layer that can be read.
 *
 * @throws RootfsError `ERR_MEDIA_TYPE_UNSUPPORTED` for encrypted layers, other compressions and things that are no layer
 */
export function requireLayerType(mediaType: string, subject: string): void {
  // Callers without a type checker may leave it out.
  const type = String(mediaType).toLowerCase();
  if (ENCRYPTED.test(type)) {
    throw unsupported(subject, mediaType, 'the layer is encrypted; decrypt the image first, for example with skopeo');
  }
  if (!LAYER_TYPE.test(type)) {
    const shown = JSON.stringify(String(mediaType).slice(0, 200));
    throw unsupported(
      subject,
      mediaType,
      `${shown} is no media type of a tar layer; nothing else is read, ask who publishes the image for one with such layers`,
    );
  }
  if (!SUPPORTED_SUFFIX.test(type)) {
    throw unsupported(
      subject,
      mediaType,
      `layers of type ${mediaType} are not read; push it again with gzip, zstd or no compression`,
    );
  }
}

/**
 * Says what a stream is compressed with; one whose first bytes say nothing is not compressed, whatever its media type.
 *
 * @param prefix The first bytes of the stream: 16, or all where there are fewer.
 * @param subject What the message of an error starts with.
 * @throws RootfsError `ERR_MEDIA_TYPE_UNSUPPORTED` for bzip2, lz4, xz, encrypted layers and things that are no layer
 */
export function detectCompression(prefix: Uint8Array, mediaType: string, subject: string): Compression {
  requireLayerType(mediaType, subject);
  if (startsWith(prefix, GZIP)) return 'gzip';
  if (startsWith(prefix, ZSTD)) return 'zstd';
  if (isSkippableFrame(prefix)) return 'zstd';
  if (startsWith(prefix, XZ)) throw unreadable(subject, mediaType, 'xz');
  if (startsWith(prefix, LZ4)) throw unreadable(subject, mediaType, 'lz4');
  if (startsWith(prefix, BZIP2) && startsWith(prefix.subarray(4), BZIP2_BLOCK)) {
    throw unreadable(subject, mediaType, 'bzip2');
  }
  return 'none';
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((value, index) => bytes[index] === value);
}

/** A frame that zstd readers step over; a zstd stream may begin with one. */
function isSkippableFrame(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0xf0) === 0x50 && startsWith(bytes.subarray(1), [0x2a, 0x4d, 0x18]);
}

function unreadable(subject: string, mediaType: string, compression: string): RootfsError {
  // An archive or a layout is not pushed again. Docker, podman and skopeo read all of these but lz4.
  const advice =
    compression === 'lz4'
      ? 'push it again with gzip or zstd'
      : 'only gzip and zstd are read, copy the image with one of these: skopeo copy --dest-compress-format gzip';
  return unsupported(subject, mediaType, `the layer is compressed with ${compression}; ${advice}`);
}

function unsupported(subject: string, mediaType: string, reason: string): RootfsError {
  return new RootfsError('ERR_MEDIA_TYPE_UNSUPPORTED', `${subject}: ${reason}`, { detail: { subject, mediaType } });
}
