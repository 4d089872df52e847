#!/usr/bin/env node
// The version is answered before anything heavy is loaded.
import { readFileSync } from 'node:fs';

const argv = process.argv.slice(2);
if (argv.length === 1 && ['--version', '-V', 'version'].includes(argv[0])) {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.on('error', (error) => {
    process.exitCode = error.code === 'EPIPE' ? 141 : 1;
  });
  process.stdout.write(`${version}\n`);
} else {
  const { main } = await import('../dist/command/main.js');
  process.exitCode = await main(argv);
}
