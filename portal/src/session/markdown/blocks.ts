/**
 * Cut growing markdown into blocks, so that what is settled is parsed and rendered once. Pure.
 *
 * All but the last three blocks are settled. A message that ended is cut anew as a whole; link definitions are gathered
 * from everywhere, since they count for every block.
 */
import { lexer } from "marked";

export interface Blocks {
  text: string;
  settled: readonly string[];
  settledLength: number;
  tail: readonly string[];
  definitions: string;
  isDone: boolean;
}

const UNSETTLED = 3;
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:[ \t]*\S.*$/gm;

export const NOTHING: Blocks = { text: "", settled: [], settledLength: 0, tail: [], definitions: "", isDone: false };

export function cut(given: string, isDone: boolean, before: Blocks = NOTHING): Blocks {
  const text = given.replaceAll("\r\n", "\n");
  if (text === before.text && isDone === before.isDone) return before;
  const definitions = text.includes("]:") ? (text.match(DEFINITION) ?? []).join("\n") : "";
  if (isDone) return { text, settled: raws(text), settledLength: text.length, tail: [], definitions, isDone };
  const goesOn = text.startsWith(before.text) && !before.isDone && definitions === before.definitions;
  const settledLength = goesOn ? before.settledLength : 0;
  const found = raws(text.slice(settledLength));
  const fresh = found.slice(0, Math.max(0, found.length - UNSETTLED));
  return {
    text,
    settled: [...(goesOn ? before.settled : []), ...fresh],
    settledLength: settledLength + fresh.reduce((sum, raw) => sum + raw.length, 0),
    tail: found.slice(fresh.length),
    definitions,
    isDone,
  };
}

/** The source of each block; blank lines belong to the block before them, so that lengths add up. */
function raws(text: string): string[] {
  const found: string[] = [];
  for (const token of lexer(text)) {
    if (token.type === "space" && found.length > 0) found[found.length - 1] += token.raw;
    else found.push(token.raw);
  }
  return found;
}

/** What to give the renderer for one block. */
export function withDefinitions(block: string, definitions: string): string {
  return definitions && block.includes("[") ? `${block}\n\n${definitions}` : block;
}
