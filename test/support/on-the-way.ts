/** What the kernel holds between a sender and a reader. */
import { readFileSync } from 'node:fs';

/**
 * Bytes of one connection that are sent and that no reader has seen: the largest buffers of both ends, as this machine
 * allows them. On a busy machine they fill before the reader can say that it has enough.
 */
export const ON_THE_WAY = most('tcp_wmem') + most('tcp_rmem');

function most(name: string): number {
  const [, , max] = readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/);
  const bytes = Number(max);
  if (!(bytes > 0)) throw new Error(`${name} tells no largest buffer`);
  return bytes;
}
