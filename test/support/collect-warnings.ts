import type { ProgressEvent } from '../../src/progress.js';

/** A listener, and the warnings that it heard. */
export function collectWarnings(): {
  readonly warnings: readonly string[];
  readonly onProgress: (event: ProgressEvent) => void;
} {
  const warnings: string[] = [];
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'warning:raised') warnings.push(event.message);
  };
  return { warnings, onProgress };
}
