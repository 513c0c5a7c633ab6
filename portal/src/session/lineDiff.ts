/** Which lines were added, removed or kept between two texts. Pure. */

export interface DiffLine {
  sign: "+" | "-" | " ";
  text: string;
}

/** `skipped`: lines left out before this hunk because nothing changed in them. */
export interface Hunk {
  skipped: number;
  lines: DiffLine[];
}

const CONTEXT = 3;
const MOST_CELLS = 4_000_000;

export function lineDiff(before: string, after: string): DiffLine[] {
  const old = linesOf(before);
  const fresh = linesOf(after);
  let head = 0;
  while (head < old.length && head < fresh.length && old[head] === fresh[head]) head++;
  let tail = 0;
  while (tail < old.length - head && tail < fresh.length - head && old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]) tail++;
  const kept = (text: string): DiffLine => ({ sign: " ", text });
  return [
    ...old.slice(0, head).map(kept),
    ...middle(old.slice(head, old.length - tail), fresh.slice(head, fresh.length - tail)),
    ...old.slice(old.length - tail).map(kept),
  ];
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

/** The longest common subsequence; texts too large for its table are shown as all removed, all added. */
function middle(old: string[], fresh: string[]): DiffLine[] {
  const removed = old.map((text): DiffLine => ({ sign: "-", text }));
  const added = fresh.map((text): DiffLine => ({ sign: "+", text }));
  if (old.length === 0 || fresh.length === 0 || old.length * fresh.length > MOST_CELLS) return [...removed, ...added];
  const width = fresh.length + 1;
  const table = new Uint16Array((old.length + 1) * width);
  const at = (row: number, column: number): number => table[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row--)
    for (let column = fresh.length - 1; column >= 0; column--)
      table[row * width + column] =
        old[row] === fresh[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
  const lines: DiffLine[] = [];
  let row = 0;
  let column = 0;
  while (row < old.length || column < fresh.length) {
    if (row < old.length && column < fresh.length && old[row] === fresh[column]) {
      lines.push({ sign: " ", text: old[row] ?? "" });
      row++;
      column++;
    } else if (row < old.length && (column === fresh.length || at(row + 1, column) >= at(row, column + 1))) {
      lines.push({ sign: "-", text: old[row++] ?? "" });
    } else lines.push({ sign: "+", text: fresh[column++] ?? "" });
  }
  return lines;
}

/** Only what changed, with a few lines around it. */
export function hunksOf(lines: DiffLine[]): Hunk[] {
  const near = lines.map(() => false);
  lines.forEach((line, at) => {
    if (line.sign !== " ") near.fill(true, Math.max(0, at - CONTEXT), at + CONTEXT + 1);
  });
  const hunks: Hunk[] = [];
  let skipped = 0;
  lines.forEach((line, at) => {
    if (!near[at]) skipped++;
    else if (at > 0 && near[at - 1]) hunks.at(-1)?.lines.push(line);
    else {
      hunks.push({ skipped, lines: [line] });
      skipped = 0;
    }
  });
  return hunks;
}

export function countChanges(lines: DiffLine[]): { added: number; removed: number } {
  return {
    added: lines.filter((line) => line.sign === "+").length,
    removed: lines.filter((line) => line.sign === "-").length,
  };
}

/** The lines of a unified patch; each hunk knows how many old lines lie between it and the one before. */
export function linesOfPatch(patch: string): Hunk[] {
  const hunks: Hunk[] = [];
  let seen = 0;
  for (const line of patch.split("\n")) {
    const start = /^@@ -(\d+)(?:,(\d+))?/.exec(line);
    if (start) {
      const first = start[2] === "0" ? Number(start[1]) + 1 : Number(start[1]);
      hunks.push({ skipped: Math.max(0, first - 1 - seen), lines: [] });
      seen = Math.max(seen, first - 1);
    } else if (hunks.length > 0 && /^[+\- ]/.test(line)) {
      if (!line.startsWith("+")) seen++;
      hunks.at(-1)?.lines.push({ sign: line[0] as DiffLine["sign"], text: line.slice(1) });
    }
  }
  return hunks;
}
