/** File mentions in a prompt: `@` and a path, before the cursor. Pure. */

export interface Mention {
  /** Where the `@` stands. */
  from: number;
  /** What is typed behind it so far. */
  query: string;
}

/** A mention begins a word, so that addresses of mail are none. */
const OPEN = /(?:^|[\s(（，。：、])@([^\s@"]*|"[^"\n]*)$/;

export function mentionAt(text: string, cursor: number): Mention | null {
  const found = OPEN.exec(text.slice(0, cursor));
  if (!found) return null;
  const typed = found[1] ?? "";
  return { from: cursor - typed.length - 1, query: typed.replace(/^"/, "") };
}

export interface Written {
  text: string;
  cursor: number;
}

/** Put the path in the place of what was typed. A folder stays open to go on in it; a file ends the word. */
export function withMention(text: string, mention: Mention, cursor: number, path: string): Written {
  const isFolder = path.endsWith("/");
  const hasSpace = /\s/.test(path);
  const word = hasSpace ? `@"${path}${isFolder ? "" : '"'}` : `@${path}`;
  const after = text.slice(cursor);
  const gap = isFolder || /^\s/.test(after) ? "" : " ";
  const before = text.slice(0, mention.from) + word + gap;
  return { text: before + after, cursor: before.length + (gap === "" && !isFolder ? 1 : 0) };
}

/** The folder that is looked into, and the beginning of the name that is looked for. */
export function partsOf(query: string): { folder: string; name: string } {
  const at = query.lastIndexOf("/");
  return { folder: at < 0 ? "" : query.slice(0, at), name: query.slice(at + 1) };
}
