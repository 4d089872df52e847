/** Reads the headers of one layer tar, or merges it, and prints what that took as JSON. Usage: node merge-part.js read|merge TAR */
import { statSync } from 'node:fs';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { peakMemory } from './peak-memory.js';

const [what, path = ''] = process.argv.slice(2);
const before = process.cpuUsage();
let entries = 0;
if (what === 'merge') entries = (await mergeLayers([{ path, tarBytes: statSync(path).size }])).entries;
else for (const { size } of readTarFile(path)) entries += size >= 0 ? 1 : 0;
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ entries, seconds: (user + system) / 1e6, peak: peakMemory() }));
