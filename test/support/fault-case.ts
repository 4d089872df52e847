/**
 * The table of faults: what the client does when the registry does wrong. It ends well, or with a code, after a bounded
 * number of requests and bytes, and never shows a credential to whom it does not belong.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fetchVerified, readVerified } from '../../src/content/fetch-verified.js';
import { RootfsError } from '../../src/errors.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { Credential, CredentialProvider } from '../../src/registry/credentials.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import {
  type Fault,
  image,
  type ScriptedFault,
  startRegistry,
  type RegistryOptions as TestOptions,
  type TestRegistry,
} from '../../src/testing/testing.js';

/** Bytes that do not repeat soon. */
export const noise = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 3));
/** The image that is pulled: one layer of 300 kB, one small. */
export const built = image()
  .compression('none')
  .layer((l) => l.file('noise', noise))
  .layer((l) => l.file('small', 'y'))
  .build();
const [first] = built.layers;
assert.ok(first !== undefined);
/** Its larger layer. */
export const big = first;
/** Bytes of the larger layer. */
export const size = big.descriptor.size;

/** Requests of an undisturbed pull by tag: manifest, config, two layers. */
export const PULL = 4;

/** What came of it. */
export interface Outcome {
  readonly registry: TestRegistry;
  readonly events: readonly ProgressEvent[];
  readonly error: unknown;
  /** The faults of the script, with how often each struck. */
  readonly faults: readonly ScriptedFault[];
}

/** What is done with the repository. */
export type Act = (repository: RegistryRepository, events: ProgressEvent[], registry: TestRegistry) => Promise<void>;

/** One line of the table. */
export interface Case {
  readonly name: string;
  readonly faults?: readonly Fault[] | undefined;
  readonly server?: TestOptions | undefined;
  readonly client?: RegistryOptions | undefined;
  readonly credential?: Credential | undefined;
  readonly act?: Act | undefined;
  /** `whole`: it ends well. */
  readonly ends: 'whole' | string;
  /** The most requests to all origins together; `PULL` unless told. */
  readonly requests?: number | undefined;
  /** The most bytes of bodies. Default: twice the big layer. */
  readonly bytes?: number | undefined;
  readonly message?: RegExp | undefined;
  readonly also?: ((outcome: Outcome) => void) | undefined;
}

/** A password that must be told to nobody else. */
export const SECRET = 'hunter2-Geheim';
/** Who may come in. */
export const user: Credential = { username: 'user', password: SECRET };
/** Whom the registry lets in. */
export const users = { user: SECRET };

/** Everything a pull reads, each byte checked. */
async function pull(repository: RegistryRepository, events: ProgressEvent[]): Promise<void> {
  const onProgress = (event: ProgressEvent): void => void events.push(event);
  const { descriptor, content } = await repository.fetchReference('latest', { onProgress });
  const bytes = Buffer.concat(await content.toArray());
  assert.deepEqual(descriptor, built.descriptor);
  assert.deepEqual(bytes, built.manifestBytes);
  await readVerified(repository, built.manifest.config, { onProgress });
  for (const { descriptor: layer, blob } of built.layers) {
    const stream = await fetchVerified(repository, layer, { onProgress });
    assert.deepEqual(Buffer.concat(await stream.toArray()), blob);
  }
}

/** A fault of the larger layer, at the registry and where it redirects to. */
export const blobFault = (fault: Omit<Fault, 'on'> | object): readonly Fault[] => [
  { on: ['blob', 'storage'], reference: big.descriptor.digest, ...fault } as Fault,
];

function clientOf(test: Case, registry: TestRegistry): RegistryRepository {
  const credentials: CredentialProvider | undefined =
    test.credential === undefined
      ? undefined
      : { credential: async () => ({ credential: test.credential as Credential, source: 'the test' }) };
  return createRepository(`${registry.host}/app`, {
    timeoutMs: 300,
    retry: 2,
    maxRetryAfterMs: 1_500,
    credentials,
    ...test.client,
  });
}

async function run(one: Case): Promise<Outcome> {
  const registry = await startRegistry(one.server);
  try {
    const faults = (one.faults ?? []).map((fault) => registry.fault(fault));
    for (const tag of ['latest', 'a', 'b', 'c', 'd']) registry.add('app', tag, built);
    const events: ProgressEvent[] = [];
    let error: unknown;
    try {
      await (one.act ?? pull)(clientOf(one, registry), events, registry);
    } catch (caught) {
      error = caught;
    }
    return { registry, events, error, faults };
  } finally {
    await registry.close();
  }
}

/** Runs a part of the table; each case has a registry of its own. */
export function runCases(title: string, cases: readonly Case[]): void {
  describe(title, { concurrency: 8 }, () => {
    for (const one of cases) {
      test(one.name, async () => {
        const outcome = await run(one);
        const { registry, error, events } = outcome;
        const seen = registry.log.requests.map(({ method, url, status }) => `${method} ${url.slice(0, 90)} ${status}`);
        const story = `${error instanceof Error ? error.stack : ''}\n${seen.join('\n')}`;
        if (one.ends === 'whole') assert.equal(error, undefined, story);
        else {
          assert.ok(error instanceof RootfsError, `expected ${one.ends}: ${story}`);
          if (one.ends !== 'ERR_*') assert.equal(error.code, one.ends, story);
          assert.match(error.message, one.message ?? /./, story);
          // Nobody's secret is told, not even in the detail of an error or in an event.
          assert.ok(!`${JSON.stringify(error)}${error.stack}`.includes(SECRET), story);
        }
        assert.ok(!JSON.stringify(events).includes(SECRET));
        assert.deepEqual(registry.log.leaked, [], story);
        const most = one.requests ?? PULL;
        assert.ok(seen.length <= most, `${seen.length} requests, at most ${most} were expected\n${story}`);
        const bytes = registry.log.bytesSent;
        assert.ok(bytes <= (one.bytes ?? size * 2), `${bytes} bytes of ${size}\n${story}`);
        for (const [at, fault] of outcome.faults.entries())
          assert.ok(fault.struck > 0, `fault ${at} never struck\n${story}`);
        one.also?.(outcome);
      });
    }
  });
}
