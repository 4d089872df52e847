import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeXattr, XattrTable } from '../../src/export/erofs-xattrs.js';

test('equal attributes of several inodes are held once', () => {
  const table = new XattrTable();
  const encode = (name: string, value: string): Buffer => {
    const entry = encodeXattr(name, Buffer.from(value));
    assert.ok(entry !== undefined);
    return entry;
  };
  const [first, alone] = table.add([encode('user.a', '1'), encode('user.b', '1')]);
  const [second, other] = table.add([encode('user.a', '1'), encode('user.b', '2')]);
  assert.equal(second, first);
  assert.ok(alone !== undefined && other !== undefined && !alone.equals(other));
  assert.equal(table.body([alone])?.body.readUInt8(4), 0, 'what one inode has stays with it');
  assert.equal(table.body([first as Buffer])?.body.readUInt8(4), 1);
});
