/** What is said of things by id, such as `local-3f2a: running`. */
export type Told = ReadonlyMap<string, string>;

/** What is said otherwise than before, in one line: what a screen reader is to say. */
export function news(before: Told, now: Told): string {
  return [...now]
    .filter(([id, text]) => before.get(id) !== text)
    .map(([, text]) => text)
    .join(', ');
}
