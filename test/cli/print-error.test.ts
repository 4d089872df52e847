import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { printError } from '../../src/cli/print-error.js';
import { RootfsError } from '../../src/index.js';
import { ROOTFS_MAIN } from '../support/run-rootfs.js';

function told(error: unknown, options: { json?: boolean; debug?: boolean } = {}): { text: string; code: number } {
  let text = '';
  const code = printError(error, {
    json: options.json === true,
    debug: options.debug === true,
    write: (part) => {
      text += part;
    },
  });
  return { text, code };
}

test('an error is one line with its code, and its exit code', () => {
  const error = new RootfsError('ERR_NOT_FOUND', 'manifest for x/y:z not found; check the tag');
  assert.deepEqual(told(error), {
    text: 'rootfs: manifest for x/y:z not found; check the tag [ERR_NOT_FOUND]\n',
    code: 3,
  });
});

test('a terminal does not obey what an image put into a message', () => {
  const { text } = told(new RootfsError('ERR_NOT_FOUND', 'layer \u001b[2J\u0007 not found'));
  assert.equal(text, 'rootfs: layer \\x1b[2J\\x07 not found [ERR_NOT_FOUND]\n');
});

test('what an image put into a message begins no line of its own', () => {
  const { text } = told(new RootfsError('ERR_NOT_FOUND', 'platform x\nrootfs: all is well\r\u2028::set-env\u202e'));
  assert.equal(text, 'rootfs: platform x\\x0arootfs: all is well\\x0d\\u2028::set-env\\u202e [ERR_NOT_FOUND]\n');
});

test('as JSON it is one value with code, message, detail and cause', () => {
  const error = new RootfsError('ERR_NETWORK', 'no answer', { detail: { host: 'h' }, cause: new Error('reset') });
  const { text, code } = told(error, { json: true });
  assert.equal(code, 6);
  assert.deepEqual(JSON.parse(text), {
    error: { code: 'ERR_NETWORK', message: 'no answer', detail: { host: 'h' }, cause: 'reset' },
  });
});

test('a terminal does not obey what an image put into JSON either', () => {
  const message = 'layer \u009b2J\u202e\u2028 not found';
  const { text } = told(new RootfsError('ERR_NOT_FOUND', message), { json: true });
  assert.match(text, /layer \\u009b2J\\u202e\\u2028 not found/);
  assert.equal(JSON.parse(text).error.message, message);
});

test('the stack comes with --debug, the cause with it', () => {
  const { text } = told(new RootfsError('ERR_NETWORK', 'no answer', { cause: new Error('reset by peer') }), {
    debug: true,
  });
  assert.match(text, /\n {4}at /);
  assert.match(text, /reset by peer/);
});

test('the first line of a stack names the class of the library, in the bundled command too', () => {
  const args = [ROOTFS_MAIN, 'digest', '--debug', 'oci:/nonexistent:v'];
  const { stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.match(stderr, /^RootfsError: \/nonexistent: /m);
});

test('--debug is a switch as all others are: with a value, before the command, and off again', () => {
  const stackOf = (...words: readonly string[]): boolean =>
    /\n {4}at /.test(spawnSync(process.execPath, [ROOTFS_MAIN, ...words], { encoding: 'utf8' }).stderr);
  const digest = ['digest', 'oci:/nonexistent:v'];
  for (const on of [['--debug=true'], ['--debug', 'true']]) assert.ok(stackOf(...digest, ...on), on.join(' '));
  for (const off of [['--debug=false'], ['--debug', 'false'], ['--no-debug']]) {
    assert.ok(!stackOf(...digest, ...off), off.join(' '));
  }
  assert.ok(stackOf('--debug', ...digest));
  assert.ok(stackOf(...digest, '--debug=true', '--nope'), 'before the words are read');
});

test('as JSON the stack is part of the one value', () => {
  const { text } = told(new RootfsError('ERR_NETWORK', 'no answer'), { json: true, debug: true });
  const { error } = JSON.parse(text);
  assert.equal(error.message, 'no answer');
  assert.match(error.stack, /\n {4}at /);
});

test('what is no error of ours is called a defect', () => {
  const { text, code } = told(new TypeError('x is undefined'));
  assert.equal(code, 1);
  assert.match(text, /internal error: x is undefined/);
  assert.match(text, /--debug/);
});

test('a slow reader of a pipe gets all of an error that is longer than the pipe holds', () => {
  const word = 'x'.repeat(120_000);
  const slowly = '"$0" "$1" "$2" 2>&1 | { sleep 0.5; cat; }';
  const { stdout } = spawnSync('sh', ['-c', slowly, process.execPath, ROOTFS_MAIN, word], { encoding: 'utf8' });
  assert.ok(stdout.includes(word));
  assert.ok(stdout.endsWith(' [ERR_OPTION_INVALID]\n'), stdout.slice(-100));
});
