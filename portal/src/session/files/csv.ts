/** Cells of CSV and TSV by RFC 4180: quoted cells hold separators, line ends and doubled quotes. Pure. */

export interface Cells {
  rows: string[][];
  /** The text has more rows than were asked for. */
  hasMore: boolean;
}

const SEPARATORS = ["\t", ";", ","] as const;

/** Of the separators in the first line, the one that stands there most often. */
export function separatorOf(text: string): string {
  const first = text.slice(0, 10_000).split(/\r?\n/, 1)[0] ?? "";
  const count = (separator: string): number => first.split(separator).length;
  return SEPARATORS.reduce((best, separator) => (count(separator) > count(best) ? separator : best), ",");
}

export function cellsOf(text: string, most: number): Cells {
  const separator = separatorOf(text);
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  const endRow = (): void => {
    rows.push([...row, cell]);
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[at++];
      else isQuoted = false;
    } else if (letter === '"' && cell === "") isQuoted = true;
    else if (letter === separator) {
      row.push(cell);
      cell = "";
    } else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && text[at + 1] === "\n") at++;
      endRow();
      if (rows.length === most) return { rows, hasMore: at + 1 < text.length };
    } else cell += letter;
  }
  if (row.length > 0 || cell !== "") endRow();
  return { rows, hasMore: false };
}
