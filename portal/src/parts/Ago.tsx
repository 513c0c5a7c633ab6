import { age, dateTime, useNow } from "../words/numbers";

/** How long ago, kept true; the exact time on hovering. */
export function Ago({ at }: { at: string }) {
  const now = useNow(15_000);
  return <time dateTime={at} title={dateTime(at)}>{age(now - Date.parse(at))}</time>;
}
