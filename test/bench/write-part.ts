/**
 * The writing part of an unpack alone: layers are opened and merged first, then `unpack` is measured. Prints one line of
 * JSON, a `Run`. Usage: node write-part.js STORE SOURCE OUT
 */
import { fetchImage, mergeLayers, openRootFS, openSource, unpack } from '../../src/index.js';
import { peakMemory } from './peak-memory.js';

const [store = '', source = '', out = ''] = process.argv.slice(2);
const opened = await openSource(source);
const image = await fetchImage(opened.source, opened.reference);
const rootfs = await openRootFS(opened.source, image, store);
const tree = await mergeLayers(rootfs.layers);
const started = performance.now();
const before = process.cpuUsage();
await unpack(tree, rootfs.layers, out);
const { user, system } = process.cpuUsage(before);
const wall = (performance.now() - started) / 1000;
const peak = peakMemory();
process.stdout.write(`${JSON.stringify({ wall, cpu: (user + system) / 1e6, peak })}\n`);
await rootfs.close();
await opened.close();
