/** The options of a test registry. */
import type { Fault } from './fault.js';
import type { RegistryAuth } from './registry-auth.js';

/** A certificate for the registry's ports, and whether clients must show theirs. All PEM. */
export interface RegistryTls {
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate that this one signed. */
  readonly clientCa?: string | undefined;
}

/** Options of `startRegistry`. */
export interface RegistryOptions {
  /** What goes wrong; more can be added later with `fault`. */
  readonly faults?: readonly Fault[] | undefined;
  /** Who may do what. Default: everybody everything. */
  readonly auth?: RegistryAuth | undefined;
  /** https: with this certificate, or one made on the spot (`registry.certificate`). Default: http. */
  readonly tls?: 'self-signed' | RegistryTls | undefined;
  /** Largest page of tags, repositories and referrers. Default: no pages. */
  readonly pageSize?: number | undefined;
  /** A manifest whose media type the `Accept` header does not name is 404, as docker-registry has it. Default false. */
  readonly strictAccept?: boolean | undefined;
  /** Whether a blob of another repository can be mounted; without it a mount starts an upload. Default true. */
  readonly mounts?: boolean | undefined;
  /** Whether the referrers API exists; without it clients fall back to tags. Default true. */
  readonly referrers?: boolean | undefined;
}
