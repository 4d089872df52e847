/** From a layer's tar to its plan: headers are read, data is not. */
import type { Turns } from '../io/turns.js';
import { readTarSteps } from '../tar/read-tar-file.js';
import type { MergeLimits } from './merge-limits.js';
import type { LayerPlan } from './merge-plan.js';

/**
 * Reads all members of a layer into `plan`, and lets others have their turn meanwhile, between any two headers.
 *
 * @throws RootfsError as `readTarFile` and `LayerPlan.take` do; the signal's own reason when it was aborted
 */
export async function readPlan(
  plan: LayerPlan,
  { path, tarBytes }: { readonly path: string; readonly tarBytes: number },
  limits: MergeLimits,
  turns: Turns,
): Promise<void> {
  for (const entry of readTarSteps(path, { ...limits, tarBytes })) {
    if (entry !== undefined) plan.take(entry, limits);
    if (turns.due(entry === undefined)) await turns.take();
  }
}
