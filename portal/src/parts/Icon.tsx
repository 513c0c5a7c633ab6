/** The portal's signs, drawn on 16 by 16 in the colour of the text. They are decoration: words stand beside or behind them. */
const PATHS = {
  plus: "M8 3v10M3 8h10",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zm3.6-1.4L14 14",
  check: "M3 8.5l3.2 3.2L13 5",
  cross: "M4 4l8 8M12 4l-8 8",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  left: "M10 4L6 8l4 4",
  up: "M4 10l4-4 4 4",
  send: "M8 13V3M4 7l4-4 4 4",
  stop: "M4.5 4.5h7v7h-7z",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  inbox: "M2.5 9.5L4 3.5h8l1.5 6v3h-11zm0 0h3l1 1.5h3l1-1.5h3",
  chat: "M3 3.5h10v7H7l-3 2.5v-2.5H3z",
  usage: "M3 13V8M7 13V3M11 13V6M14 13H2",
  settings: "M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2M3.6 3.6L5 5M11 11l1.4 1.4M12.4 3.6L11 5M5 11l-1.4 1.4",
  ops: "M2 8h3l2-5 2.5 10L11.5 8H14",
  files: "M3 2.5h6L13 6v7.5H3zM9 2.5V6h4",
  folder: "M2 4h4.5L8 5.5h6v7.5H2z",
  todos: "M2.5 4.5l1 1 2-2M2.5 11l1 1 2-2M8 5h6M8 11.5h6",
  timeline: "M2 4h6M6 8h7M4 12h5",
  queue: "M3 4h10M3 8h10M3 12h6",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 5v3.2l2 1.3",
  why: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.3 6.2a1.8 1.8 0 1 1 2.6 1.7c-.6.3-.9.7-.9 1.3M8 11.4h.01",
  edit: "M3 13l.7-2.8L10.5 3.4l2.1 2.1-6.8 6.8z",
  trash: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
  pin: "M9.5 2.5l4 4-2 .6-2.4 2.4-.5 3-4.1-4.1 3-.5L9 5.5zM5.8 10.2L2.5 13.5",
  archive: "M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 8.5h3",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 8.5M9 11.5l-1.5 1.5a2.8 2.8 0 0 1-4-4L5 7.5",
  download: "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10",
  attach: "M12.5 7.5l-5 5a3 3 0 0 1-4.2-4.2l5.3-5.3a2 2 0 0 1 2.8 2.8l-5.2 5.2a1 1 0 0 1-1.4-1.4l4.7-4.7",
  warn: "M8 2.5l6 11H2zM8 6.5v3.5M8 12h.01",
  saved: "M3 3h8l2 2v8H3zM5.5 3v3.5h4V3M5 13V9h6v4",
  refresh: "M13 8a5 5 0 1 1-1.5-3.5M13 2.5v2.5h-2.5",
  thought: "M8 2.5a4 4 0 0 1 2 7.5v1.5H6V10a4 4 0 0 1 2-7.5zM6.5 13.5h3",
  command: "M3 4l4 4-4 4M8.5 12H13",
  read: "M2.5 3.5c2-.7 4-.5 5.5.7 1.5-1.2 3.5-1.4 5.5-.7v8.8c-2-.7-4-.5-5.5.7-1.5-1.2-3.5-1.4-5.5-.7zM8 4.2V13",
  globe: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2 2 2.5 4 2.5 6S10 12 8 14C6 12 5.5 10 5.5 8S6 4 8 2z",
  tool: "M10 2.5a3.5 3.5 0 0 0-3.3 4.6L2.5 11.3l2.2 2.2L8.9 9.3A3.5 3.5 0 0 0 13.5 6l-2 2-3-1 0-2 2-2z",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  user: "M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8zM3 13.5c.5-2.5 2.5-4 5-4s4.5 1.5 5 4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg viewBox="0 0 16 16" width={size} height={size} fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
