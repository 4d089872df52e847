/** What somebody typed for a registry or an image, as it may be shown: all before the last `@` may hold a password. */
export function withoutUser(text: string): string {
  const at = text.lastIndexOf('@');
  return at === -1 ? text : `…${text.slice(at)}`;
}

/**
 * Whether text names a user as URLs do, `user:password@host/…`, with a scheme or without: no digest holds a slash.
 * Passwords hold `@`, too. Archives bring thousands of names to be looked at, so each is cut once.
 */
export function namesUser(text: string): boolean {
  const isUser = (after: string): boolean => !/^sha(?:256|512):/i.test(after);
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  const authority = scheme === undefined ? '' : (text.slice(scheme.length).split('/', 1)[0] ?? '');
  if (authority.split('@').slice(1).some(isUser)) return true;
  const [before = '', ...parts] = text.split('@');
  return before.includes(':') && parts.some((after) => after.includes('/') && isUser(after));
}
