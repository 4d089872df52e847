/** What somebody typed for a registry or an image, as it may be shown: all before the last `@` may hold a password. */
export function withoutUser(text: string): string {
  const at = text.lastIndexOf('@');
  return at === -1 ? text : `…${text.slice(at)}`;
}
