/** Colours for code, from a worker that starts with the first block that wants them. */

export type TokenKind = "keyword" | "string" | "comment" | "constant" | "function" | "parameter" | "punctuation" | "link" | "";

export interface Tokens {
  text: string;
  lines: [TokenKind, string][][];
}

export interface Asked {
  id: number;
  language: string;
  text: string;
}

export interface Told {
  id: number;
  lines: [TokenKind, string][][] | null;
}

const LONGEST = 60_000;
const KEPT = 60;
const known = new Map<string, Tokens>();
const waiting = new Map<number, (told: Told) => void>();
let worker: Worker | null = null;
let lastId = 0;

/** Null where the language is unknown or the text too long. */
export async function highlight(language: string, text: string): Promise<Tokens | null> {
  if (text.length > LONGEST) return null;
  const key = `${language}\n${text}`;
  const before = known.get(key);
  if (before) return before;
  const told = await ask({ id: ++lastId, language, text });
  if (!told.lines) return null;
  const tokens = { text, lines: told.lines };
  known.set(key, tokens);
  const oldest = known.keys().next().value;
  if (known.size > KEPT && oldest) known.delete(oldest);
  return tokens;
}

function ask(asked: Asked): Promise<Told> {
  worker ??= begin();
  return new Promise((resolve) => {
    waiting.set(asked.id, resolve);
    worker?.postMessage(asked);
  });
}

function begin(): Worker {
  const started = new Worker(new URL("./highlight.worker.ts", import.meta.url), { type: "module" });
  started.addEventListener("message", ({ data }: MessageEvent<Told>) => {
    waiting.get(data.id)?.(data);
    waiting.delete(data.id);
  });
  return started;
}
