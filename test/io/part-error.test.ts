/** What is told of a part that failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { partFailure } from '../../src/io/part-error.js';

const failed = (code: string): RootfsError => partFailure('the image store', Object.assign(new Error('no'), { code }));

test("the system's refusals are told as such; a part that misuses Node, or an error of its own, is the part's failure", () => {
  assert.equal(failed('ENOSPC').code, 'ERR_NO_SPACE');
  assert.equal(failed('EACCES').code, 'ERR_PERMISSION');
  assert.equal(failed('ERR_ACCESS_DENIED').code, 'ERR_PERMISSION');
  assert.equal(failed('EIO').code, 'ERR_FILESYSTEM');
  for (const code of ['ERR_INVALID_ARG_TYPE', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET']) {
    assert.equal(failed(code).code, 'ERR_INTERNAL');
    assert.equal(failed(code).message, 'the image store failed: no; look where it is made');
  }
  const ours = new RootfsError('ERR_NOT_FOUND', 'x: not here');
  assert.equal(partFailure('the image store', ours), ours);
});
