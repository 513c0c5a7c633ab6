import { useStore } from "zustand";
import { announced } from "./announce";

export function Announcer() {
  const words = useStore(announced, (state) => state.words);
  return <div className="unseen" role="status" aria-live="polite">{words}</div>;
}
