/** Entry of the workers that `worker-pool.test.ts` starts. */
import { threadId } from 'node:worker_threads';
import { RootfsError } from '../../src/errors.js';
import { isStopped, serveTasks, throwIfStopped } from '../../src/io/worker-task.js';

/** What a worker of the test is told to do. */
export type PoolTask =
  | { readonly do: 'thread' }
  | { readonly do: 'rootfs-error' }
  | { readonly do: 'system-error' }
  | { readonly do: 'exit' }
  | { readonly do: 'throw-later' }
  | { readonly do: 'eat-memory' }
  | { readonly do: 'wait-for'; readonly gate: Int32Array }
  | { readonly do: 'ignore-stop'; readonly gate: Int32Array };

serveTasks<PoolTask, number>((task, flag) => {
  switch (task.do) {
    case 'thread':
      return threadId;
    case 'rootfs-error':
      throw new RootfsError('ERR_DECOMPRESS', 'x: damaged', { detail: { at: 5 }, cause: new Error('below') });
    case 'system-error':
      throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    case 'exit':
      process.exit(3);
      break;
    case 'throw-later':
      setImmediate(() => {
        throw new Error('out of turn');
      });
      return new Promise<number>(() => {});
    case 'eat-memory': {
      const eaten: string[][] = [];
      for (;;) eaten.push(Array.from({ length: 10000 }, (_, index) => `${index}${eaten.length}`));
    }
    case 'wait-for':
      while (Atomics.load(task.gate, 0) === 0 && !isStopped(flag)) Atomics.wait(task.gate, 0, 0, 10);
      throwIfStopped(flag);
      return threadId;
    case 'ignore-stop':
      for (;;) Atomics.wait(task.gate, 0, 0, 1000);
  }
  return 0;
});
