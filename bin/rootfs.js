#!/usr/bin/env node
'use strict';
// The version is answered before anything heavy is loaded. This folder is CommonJS: Node starts it sooner.
const argv = process.argv.slice(2);
// Options of output may stand with it, as with every command.
const words = argv.filter(
  (word, at) => argv[at - 1] !== '--progress' && !/^(?:--json|-q|--quiet|--debug|--progress(?:=.*)?)$/.test(word),
);
if (words.length === 1 && ['--version', '-V', 'version'].includes(words[0])) {
  const { version } = require('../package.json');
  process.stdout.on('error', ({ code: errno, message: cause }) => {
    process.exitCode = errno === 'EPIPE' ? 141 : 1;
    if (errno === 'EPIPE') return;
    const isFull = errno === 'ENOSPC';
    const code = isFull ? 'ERR_NO_SPACE' : 'ERR_FILESYSTEM';
    const message = `stdout: ${cause}; ${isFull ? 'free some space or choose another folder' : 'write it elsewhere'}`;
    const error = { code, message, detail: { subject: 'stdout', errno } };
    process.stderr.on('error', () => {});
    process.stderr.write(argv.includes('--json') ? `${JSON.stringify({ error })}\n` : `rootfs: ${message} [${code}]\n`);
  });
  process.stdout.write(`${argv.includes('--json') ? JSON.stringify(version) : version}\n`);
} else {
  const { loadCommand } = require('./load-command.js');
  loadCommand(argv)
    .main(argv)
    .then((code) => {
      // All output is written. Left to itself, Node would wait for code that V8 still compiles in the background.
      process.exit(code);
    });
}
