/**
 * Makes a writable copy as the first thing in a process, its code loaded, and says what that took.
 *
 * Arguments: what many share, an absent folder for the copy. Mounted copies are taken down again. Needs root.
 */
import { createWritableCopy } from '../../src/export/writable-copy.js';
import { peakMemory } from './peak-memory.js';

const [base = '', run = ''] = process.argv.slice(2);
const cpu = process.cpuUsage();
const started = performance.now();
const copy = createWritableCopy(base, run);
const wall = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(cpu);
copy.unmount();
if (!copy.mounted) throw new Error(`nothing was mounted: ${copy.notMounted}`);
console.log(JSON.stringify({ wall, cpu: (user + system) / 1e6, peak: peakMemory() }));
