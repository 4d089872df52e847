/** The layers below one as overlayfs shows them: what lies at a path, directories of one name as one. */
import type { MergedTree, TreeNode } from './tree.js';

/** What overlayfs goes by of a layer; `LayerChanges` says what each is. */
interface LowerLayer {
  readonly tree: MergedTree;
  readonly whiteouts: ReadonlyMap<TreeNode, ReadonlySet<string>>;
  readonly opaque: ReadonlySet<TreeNode>;
}

/** The directories of one path in the layers below, the topmost first: what overlayfs shows as one. */
export type Stack = readonly { readonly changes: LowerLayer; readonly node: TreeNode }[];

/** What a stack finds one step down: the directories of that name, or the one thing that is no directory. */
export interface Step {
  readonly directories: Stack;
  readonly other?: TreeNode;
}

/** What a name means in the directories of a stack. */
export function stepDown(stack: Stack, name: string): Step {
  const directories: Stack[number][] = [];
  for (const { changes, node } of stack) {
    if (changes.whiteouts.get(node)?.has(name) === true) break;
    const child = node.children?.get(name);
    if (child !== undefined && child.children === undefined) {
      return directories.length === 0 ? { directories, other: child } : { directories };
    }
    if (child !== undefined) directories.push({ changes, node: child });
    if (changes.opaque.has(child ?? node)) break;
  }
  return { directories };
}

/** The layers below one, while that one is read: they must not change meanwhile. */
export class LowerLayers {
  readonly root: Stack;
  /** A step costs a look into every layer, and a million paths may share one: each directory is looked for once. */
  readonly #steps = new Map<Stack, Map<string, Step>>();

  constructor(below: readonly LowerLayer[]) {
    this.root = below.map((changes) => ({ changes, node: changes.tree.root }));
  }

  /** The directories of a path; where there are none, what is in its way, if anything. */
  find(components: readonly string[]): Step {
    let step: Step = { directories: this.root };
    for (const name of components) {
      step = this.#stepDown(step.directories, name);
      if (step.directories.length === 0) break;
    }
    return step;
  }

  #stepDown(stack: Stack, name: string): Step {
    const known = this.#steps.get(stack);
    const step = known?.get(name) ?? stepDown(stack, name);
    if (step.directories.length > 0) {
      if (known !== undefined) known.set(name, step);
      else this.#steps.set(stack, new Map([[name, step]]));
    }
    return step;
  }
}
