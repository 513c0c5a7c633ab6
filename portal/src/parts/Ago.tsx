import { age, ago, dateTime, useNow } from "../words/numbers";

interface AgoProps {
  at: string;
  /** Say that it is past, where a time alone would read as how long something took. */
  isSaid?: boolean;
}

/** How long ago, kept true; the exact time on hovering. */
export function Ago({ at, isSaid }: AgoProps) {
  const now = useNow(15_000);
  return <time dateTime={at} title={dateTime(at)}>{(isSaid ? ago : age)(now - Date.parse(at))}</time>;
}
