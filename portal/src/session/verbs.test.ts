import { expect, it } from "vitest";
import { withoutVerb } from "./verbs";

it.each([
  ["Run ls -a", "execute", "ls -a"],
  ["Read src/app.py", "read", "src/app.py"],
  ["run me.sh", "execute", "run me.sh"],
  ["Write notes.md", "edit", "Write notes.md"],
  ["Run", "execute", "Run"],
  ["Run it", "dance", "Run it"],
])("a row says its verb once: %s of the kind %s", (title, kind, shown) => {
  expect(withoutVerb(title, kind)).toBe(shown);
});
