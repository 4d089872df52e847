/** Commands that read one place and write another: options that hold for one of the two only. */
import type { Options } from 'yargs';
import { type OpenOptions, parseReference, RootfsError, refuseNoImage, splitTransport } from '../index.js';
import type { Arguments } from './command.js';
import { flag, registryArguments, splitCredential, text } from './options.js';

const SIDES = { src: 'source', dest: 'destination' } as const;

/** Which of the two places. */
export type Side = keyof typeof SIDES;

/** The options, for both sides. They win over their namesakes without a prefix. */
export const SIDE_OPTIONS: Readonly<Record<string, Options>> = Object.fromEntries(
  (Object.entries(SIDES) as [Side, string][]).flatMap(([side, place]): [string, Options][] => [
    [`${side}-creds`, { type: 'string', describe: `USER:PASSWORD for the ${place}`, group: 'Registry:' }],
    [`${side}-plain-http`, { type: 'boolean', describe: `Speak http with the ${place}`, group: 'Registry:' }],
    [`${side}-tls-verify`, { type: 'boolean', describe: `Check the ${place}'s certificate`, group: 'Registry:' }],
  ]),
);

/**
 * The registry options of both sides. Credentials that were given for no side are used where there is one registry only:
 * no registry is shown another one's password.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export async function sideArguments(
  args: Arguments,
  source: string,
  destination: string,
  signal: AbortSignal,
): Promise<Readonly<Record<Side, OpenOptions>>> {
  const common = await registryArguments(args, signal);
  const [from, to] = [registryOf(source), registryOf(destination)];
  if (common.credential !== undefined && from !== undefined && to !== undefined && from !== to) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `credentials for two registries, ${from} and ${to}: say whose they are; use --src-creds or --dest-creds`,
    );
  }
  return { src: ofSide('src', args, common), dest: ofSide('dest', args, common) };
}

/**
 * What a copy failed with. Where two registries are spoken to, `--plain-http` for both would break the other one: the
 * advice names the option of the one that it is about.
 */
export function adviseSide(error: unknown, source: string, destination: string): unknown {
  if (!(error instanceof RootfsError) || error.code !== 'ERR_TLS') return error;
  const [from, to] = [registryOf(source), registryOf(destination)];
  if (from === undefined || to === undefined || from === to) return error;
  const { url } = error.detail;
  const host = typeof url === 'string' ? new URL(url).host : undefined;
  const side = host === from ? 'src' : host === to ? 'dest' : undefined;
  if (side === undefined) return error;
  const message = error.message.replace('use --plain-http', `use --${side}-plain-http`);
  return new RootfsError(error.code, message, { cause: error.cause, detail: error.detail });
}

function ofSide(side: Side, args: Arguments, common: OpenOptions): OpenOptions {
  const creds = text(args, `${side}-creds`);
  return {
    ...common,
    plainHttp: flag(args, `${side}-plain-http`) ?? common.plainHttp,
    tlsVerify: flag(args, `${side}-tls-verify`) ?? common.tlsVerify,
    credential: creds === undefined ? common.credential : splitCredential(`${side}-creds`, creds),
  };
}

/** The registry of a place that is at one. @throws RootfsError `ERR_REFERENCE_INVALID` */
export function registryOf(text: string): string | undefined {
  const { transport, rest } = splitTransport(text);
  if (transport !== 'docker') return undefined;
  refuseNoImage(rest);
  return parseReference(rest).registry;
}
