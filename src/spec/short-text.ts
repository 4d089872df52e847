/** Text of a document as a message quotes it: what nobody has checked yet may be of any length. Pure. */
export function shortText(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
