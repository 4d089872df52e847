/** Options of every command that extracts layers. */
import type { Options } from 'yargs';
import type { ExtractOptions, LayerLimits } from '../index.js';
import type { Arguments } from './command.js';
import { flag, jobsOf, parallelRanges, text, whole } from './options.js';
import { parseSize } from './quantity.js';

/** What a layer may become: also of a command that extracts none, but looks into them. */
export const LIMIT_OPTIONS: Readonly<Record<string, Options>> = {
  'max-layer-size': { type: 'string', describe: 'Largest uncompressed layer (default 64GiB)', group: 'Layers:' },
  'max-ratio': { type: 'number', describe: 'Largest compression ratio past 1 GiB (default 1000)', group: 'Layers:' },
};

/** The options. */
export const LAYER_OPTIONS: Readonly<Record<string, Options>> = {
  jobs: { type: 'number', describe: 'Layers fetched at once (default 6)', group: 'Layers:' },
  verify: { type: 'boolean', describe: 'Hash layers that are already there again', group: 'Layers:' },
  resume: { type: 'boolean', default: true, describe: 'Go on where an interrupted run stopped', group: 'Layers:' },
  'parallel-ranges': {
    type: 'string',
    default: 'auto',
    describe: 'Ranges of one large blob at once: a number, or auto',
    group: 'Layers:',
  },
  fsync: { choices: ['layer', 'none'], default: 'layer', describe: 'Durability of each layer', group: 'Layers:' },
  ...LIMIT_OPTIONS,
};

/** What they say, as the library's options. @throws RootfsError `ERR_OPTION_INVALID` */
export function layerArguments(args: Arguments): ExtractOptions {
  const ranges = parallelRanges(args);
  return {
    jobs: jobsOf(args),
    verify: flag(args, 'verify') === true ? 'always' : 'cached',
    resume: flag(args, 'resume') !== false,
    parallelRanges: ranges === 'auto' ? undefined : ranges,
    fsync: args['fsync'] === 'none' ? 'none' : 'layer',
    ...limitArguments(args),
  };
}

/** What `LIMIT_OPTIONS` say, as the library's options. @throws RootfsError `ERR_OPTION_INVALID` */
export function limitArguments(args: Arguments): LayerLimits {
  const size = text(args, 'max-layer-size');
  return {
    maxLayerSize: size === undefined ? undefined : parseSize('max-layer-size', size),
    maxRatio: whole(args, 'max-ratio', 1),
  };
}
