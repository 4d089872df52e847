/** Scopes of tokens: what a request needs, and what a challenge asks for. */

/** Scope text for actions on a repository: `repository:NAME:pull,push`. */
export function repositoryScope(repository: string, ...actions: readonly string[]): string {
  return `repository:${repository}:${actions.join(',')}`;
}

/** The scope of the list of all repositories. */
export const CATALOG_SCOPE = 'registry:catalog:*';

/** One text for a set of scopes, the same for every order. */
export function scopeKey(scopes: readonly string[]): string {
  return [...scopes].sort().join(' ');
}

/** Adds what a challenge asks for to what a request needs; actions on one resource are joined. */
export function mergeScopes(needed: readonly string[], asked: string | undefined): string[] {
  const merged = new Map<string, Set<string>>();
  for (const scope of [...needed, ...(asked ?? '').split(' ').slice(0, 20)]) {
    const colon = scope.lastIndexOf(':');
    if (colon <= 0 || scope.length > 1024 || !/^[\x21-\x7e]+$/.test(scope)) continue;
    const resource = scope.slice(0, colon);
    const actions = merged.get(resource) ?? new Set();
    for (const action of scope.slice(colon + 1).split(',')) if (action !== '') actions.add(action);
    merged.set(resource, actions);
  }
  return [...merged].map(([resource, actions]) => `${resource}:${[...actions].join(',')}`);
}
