/** Text of a document as a message quotes it: what nobody has checked yet may be of any length. Pure. */
export function shortText(text: string, most = 120): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
