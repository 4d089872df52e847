/** The manifests of one repository: asked for, fetched, stored, named. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { eachUntilAborted, throwIfAborted } from '../io/abort.js';
import { MAX_DOCUMENT_BYTES, readLimited } from '../io/limit.js';
import { verifyBytes } from '../io/verify.js';
import { warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest, requireVerifiable } from '../spec/digest.js';
import { isTag, parseReference } from '../spec/reference.js';
import { addReferrer } from './add-referrer.js';
import type { Subject } from './answer-error.js';
import type { ApiRequest } from './api-request.js';
import { falseIfAbsent, HEAD_REFUSED, Heads } from './blob-exists.js';
import { deleteContent } from './delete-content.js';
import type { Endpoint } from './endpoint.js';
import { hasReferrersApi } from './list-referrers.js';
import { inListTurn } from './list-turn.js';
import {
  descriptorFromBytes,
  descriptorFromHead,
  hasDigest,
  MANIFEST_ACCEPT,
  mislabelled,
  noDocument,
  noManifest,
  wrongManifest,
} from './manifest-answer.js';
import { putManifest } from './push-manifest.js';
import { readDocument } from './read-document.js';
import { type ReferrersPlace, subjectOf } from './referrers-index.js';
import type { RegistrySession } from './registry-session.js';
import { removeReferrer } from './remove-referrer.js';
import type { RetryBudget } from './retry-budget.js';
import { repositoryScope } from './scopes.js';
import type { WireResponse } from './wire.js';

/** A manifest as it is asked for. */
export interface AskedManifest {
  /** The last part of its path: a tag or a digest. */
  readonly key: string;
  readonly digest: Digest | undefined;
  /** For people. */
  readonly name: string;
  readonly registryFirst?: boolean | undefined;
  /** What is changed and written back is read where it is written. */
  readonly capability?: 'push' | undefined;
  /** What HEAD and GET share. */
  readonly budget?: RetryBudget | undefined;
}

/** How many manifests that were pushed, or read by a tag, are kept at hand for another tag. */
const REMEMBERED_MANIFESTS = 4;

/** Requests for manifests. One per repository. */
export class ManifestClient {
  readonly #session: RegistrySession;
  readonly #registry: string;
  readonly #repository: string;
  readonly #name: string;
  readonly #known = new Map<Digest, Buffer>();

  constructor(session: RegistrySession, registry: string, repository: string) {
    this.#session = session;
    this.#registry = registry;
    this.#repository = repository;
    this.#name = `${registry}/${repository}`;
  }

  /**
   * Reads a tag, a digest or a full reference to this repository; with both, the digest decides.
   *
   * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`
   */
  ask(reference: string): AskedManifest {
    // By its grammar name:tag may be a digest too; one has at least 32 hexadecimal digits.
    if (isDigest(reference) && /:[a-f0-9]{32,}$/.test(reference) && !this.#isOwn(reference)) {
      return this.askDigest(reference);
    }
    if (isTag(reference)) return this.#askTag(reference);
    const parsed = parseReference(reference);
    if (parsed.registry !== this.#registry || parsed.repository !== this.#repository) {
      throw new RootfsError(
        'ERR_REFERENCE_INVALID',
        `${JSON.stringify(reference)} is not a reference to ${this.#name}; give a tag, a digest or ${this.#name}:TAG`,
        { detail: { reference, repository: this.#name } },
      );
    }
    return parsed.digest === undefined ? this.#askTag(parsed.tag ?? 'latest') : this.askDigest(parsed.digest);
  }

  /** Asks by digest. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` */
  askDigest(digest: Digest): AskedManifest {
    requireVerifiable(digest);
    return { key: digest, digest, name: `${this.#name}@${digest}` };
  }

  /**
   * What a name points at: by HEAD, or by GET where HEAD is refused or hung up on, finds nothing or leaves something open.
   * Not all that serve a manifest know HEAD, and only the answer to GET says why there is none.
   */
  async resolve(asked: AskedManifest, call: CallOptions): Promise<Descriptor> {
    const once = { ...asked, budget: this.#session.budget(asked.name, call) };
    const head = await this.#head(once, call).catch(falseIfAbsent);
    const told = head ? descriptorFromHead(head.headers, asked.digest) : undefined;
    return told ?? (await this.get(once, call)).descriptor;
  }

  /** Fetches a manifest, 4 MiB at most. Its digest is checked only where a mirror served it: then another can be asked. */
  get(asked: AskedManifest, call: CallOptions): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }> {
    return this.#onEndpoints(asked, call, async (endpoint) => {
      const response = await this.#request('GET', endpoint, asked, [200], call);
      const bytes = await readDocument(response, MAX_DOCUMENT_BYTES, `manifest ${asked.name}`);
      const contentType = response.headers.get('content-type');
      const other = noManifest(bytes, contentType, asked.name, response.url.host);
      if (other !== undefined) throw other;
      if (asked.digest !== undefined && endpoint.mirrorOf !== undefined && !hasDigest(bytes, asked.digest)) {
        throw wrongManifest(asked.name, response.url.host, asked.digest, bytes);
      }
      // Under a tag the document is compared with its label where it is read, which is too late to ask another endpoint;
      // under a digest nobody else sees the label.
      const wrong =
        asked.digest !== undefined
          ? mislabelled(bytes, contentType, asked.name)
          : endpoint.mirrorOf !== undefined
            ? noDocument(bytes, contentType, asked.name, response.url.host)
            : undefined;
      if (wrong !== undefined) throw wrong;
      const descriptor = descriptorFromBytes(bytes, contentType, asked.digest);
      if (asked.digest === undefined) this.#remember(descriptor.digest, bytes);
      return { bytes, descriptor };
    });
  }

  /** Whether a manifest is there. */
  async exists(asked: AskedManifest, call: CallOptions): Promise<boolean> {
    try {
      const once = { ...asked, budget: this.#session.budget(asked.name, call) };
      if ((await this.#head(once, call)) === undefined) await this.get(once, call);
      return true;
    } catch (error) {
      return falseIfAbsent(error);
    }
  }

  /** The bytes under a tag, or `undefined` when there is no such tag: the registry's before what a mirror kept. */
  async readTag(tag: string, call: CallOptions, capability?: 'push'): Promise<Buffer | undefined> {
    try {
      return (await this.get({ ...this.#askTag(tag), registryFirst: true, capability }, call)).bytes;
    } catch (error) {
      falseIfAbsent(error);
      return undefined;
    }
  }

  /**
   * Stores a manifest under its digest, verified. One with a `subject` is added to the list of referrers where the
   * registry does not do that itself.
   *
   * @param tag Points this at it too: in the same request, where nothing has to come between the two and the registry
   *   computes the same digest.
   * @throws RootfsError `ERR_MANIFEST_INVALID` where something else stands in the list's place: the manifest is stored
   */
  async push(target: Descriptor, content: AsyncIterable<Uint8Array>, call: CallOptions, tag?: string): Promise<void> {
    const byDigest = this.askDigest(target.digest);
    const byTag = tag === undefined ? undefined : this.#askFreeTag(tag);
    const bytes = await readLimited(eachUntilAborted(content, call.signal), MAX_DOCUMENT_BYTES, byDigest.name);
    verifyBytes(bytes, target, byDigest.name);
    const subject = subjectOf(bytes);
    const isOne = byTag !== undefined && subject === undefined && target.digest.startsWith('sha256:');
    const { key, name } = isOne ? byTag : byDigest;
    const kept = await putManifest(target, bytes, key, this.#upload(name), call);
    if (subject !== undefined && !kept)
      await addReferrer({ subject, target, bytes }, (add) => this.#changeList(subject, call, add), call.signal);
    if (byTag !== undefined && !isOne) await putManifest(target, bytes, byTag.key, this.#upload(byTag.name), call);
    this.#remember(target.digest, bytes);
  }

  /** Points a tag at a manifest that is here: the same bytes, the same media type. */
  async tag(target: Descriptor, reference: string, call: CallOptions): Promise<void> {
    const asked = this.#askFreeTag(reference);
    const source = this.askDigest(target.digest);
    const bytes = this.#known.get(target.digest) ?? (await this.get(source, call)).bytes;
    verifyBytes(bytes, { digest: target.digest, size: bytes.length }, source.name);
    await putManifest(target, bytes, asked.key, this.#upload(asked.name), call);
  }

  /**
   * Removes a manifest. One with a `subject` is taken out of the list of referrers where the registry does not do that
   * itself; what hinders that is a warning, for the manifest is gone.
   *
   * @returns false where it was not there
   */
  async delete(digest: Digest, call: CallOptions): Promise<boolean> {
    const asked = this.askDigest(digest);
    const subject = await this.#subjectOf(asked, digest, call);
    this.#known.delete(digest);
    const isGone = await deleteContent(this.#session, 'manifests', digest, this.#subject('manifest', asked.name), call);
    if (!isGone || subject === undefined) return isGone;
    try {
      const list = this.#subject('referrers', `${this.#name}@${subject}`);
      if (!(await hasReferrersApi(this.#session, subject, list, call))) {
        await this.#changeList(subject, call, (place) => removeReferrer(place, subject, digest));
      }
    } catch (error) {
      throwIfAborted(call.signal);
      if (!(error instanceof RootfsError)) throw error;
      const message = `${asked.name} is deleted, and may still be listed as a referrer of ${subject}: ${error.message}`;
      warn(call.onProgress, message);
    }
    return isGone;
  }

  /** What a manifest refers to, where it can be read; what cannot be read can be deleted nevertheless. */
  async #subjectOf(asked: AskedManifest, digest: Digest, call: CallOptions): Promise<Digest | undefined> {
    try {
      return subjectOf(this.#known.get(digest) ?? (await this.get(asked, call)).bytes);
    } catch (error) {
      throwIfAborted(call.signal);
      if (!(error instanceof RootfsError)) throw error;
      return undefined;
    }
  }

  #remember(digest: Digest, bytes: Buffer): void {
    this.#known.set(digest, bytes);
    const [oldest] = this.#known.keys();
    if (this.#known.size > REMEMBERED_MANIFESTS && oldest !== undefined) this.#known.delete(oldest);
  }

  /** Asks for a name to be given. @throws RootfsError `ERR_REFERENCE_INVALID` */
  #askFreeTag(reference: string): AskedManifest {
    const asked = this.ask(reference);
    if (asked.digest === undefined) return asked;
    throw new RootfsError('ERR_REFERENCE_INVALID', `${reference}: a digest cannot be a tag; give a name`, {
      detail: { reference },
    });
  }

  #isOwn(reference: string): boolean {
    return !/^sha(?:256|512):/.test(reference) && parseReference(reference).repository === this.#repository;
  }

  #askTag(tag: string): AskedManifest {
    return { key: tag, digest: undefined, name: `${this.#name}:${tag}` };
  }

  #subject(kind: Subject['kind'], name: string): Subject {
    return { kind, name, registry: this.#registry, repository: this.#name };
  }

  #upload(name: string): { session: RegistrySession; subject: Subject } {
    return { session: this.#session, subject: this.#subject('upload', name) };
  }

  #changeList<T>(subject: Digest, call: CallOptions, change: (place: ReferrersPlace) => Promise<T>): Promise<T> {
    return inListTurn(`${this.#name}@${subject}`, call.signal, () => change(this.#referrers(call)));
  }

  #referrers(call: CallOptions): ReferrersPlace {
    return {
      name: this.#name,
      read: (tag) => this.readTag(tag, call, 'push'),
      write: async (index, content, tag) => {
        await putManifest(index, content, tag, this.#upload(`${this.#name}:${tag}`), call);
      },
    };
  }

  /** The answer to HEAD; `undefined` where GET has to say. */
  #head(asked: AskedManifest, call: CallOptions): Promise<WireResponse | undefined> {
    const heads = new Heads();
    return this.#onEndpoints(asked, call, (endpoint) =>
      heads.ask(endpoint, () => this.#request('HEAD', endpoint, asked, [200, ...HEAD_REFUSED], call)),
    );
  }

  #onEndpoints<T>(asked: AskedManifest, call: CallOptions, attempt: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const { key, digest, name, registryFirst, budget, capability = digest === undefined ? 'resolve' : 'pull' } = asked;
    return this.#session.onEndpoints(capability, name, call, attempt, { reference: key, registryFirst, budget });
  }

  #request(
    method: ApiRequest['method'],
    endpoint: Endpoint,
    asked: AskedManifest,
    accept: readonly number[],
    call: CallOptions,
  ): Promise<WireResponse> {
    const request: ApiRequest = {
      method,
      path: `${endpoint.repository}/manifests/${asked.key}`,
      headers: { accept: MANIFEST_ACCEPT },
      scopes: [repositoryScope(endpoint.repository, 'pull')],
      subject: this.#subject('manifest', asked.name),
      accept,
    };
    return this.#session.request(endpoint, request, call);
  }
}
