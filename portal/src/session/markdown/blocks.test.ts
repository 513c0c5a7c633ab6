import fc from "fast-check";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import ReactMarkdown from "react-markdown";
import { describe, expect, it } from "vitest";
import { cut, NOTHING, withDefinitions, type Blocks } from "./blocks";
import { gfm } from "./gfm";

const SAMPLES = [
  "# Title\n\nText with **bold**, `code` and [a link][1].\n\n- one\n- two\n  - three\n\n1. first\n\n   more of first\n2. second\n\n[1]: https://example.org\n",
  "```python\ndef f():\n    return 1\n\n\nprint(f())\n```\n\nafter\n\n> quote\n> goes on\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nend",
  "loose\n\n- a\n\n- b\n\n- c\n\ntext\r\n\r\n- [x] done\r\n- [ ] open\r\n",
  "Setext\n===\n\n    indented code\n\n***\n\n<b>not html</b> and https://example.org\n\n~~gone~~ 你好，**世界**。\n",
];

const render = (text: string): string => renderToStaticMarkup(createElement(ReactMarkdown, { remarkPlugins: [gfm], children: text }));
const renderBlocks = ({ settled, tail, definitions }: Blocks): string =>
  [...settled, ...tail].map((block) => render(withDefinitions(block, definitions))).join("\n");
const squeeze = (html: string): string => html.replaceAll(/>\s+</g, "><").trim();

describe("cut", () => {
  it.each(SAMPLES)("renders block by block what the whole renders: %#", (sample) => {
    expect(squeeze(renderBlocks(cut(sample, true)))).toBe(squeeze(render(sample.replaceAll("\r\n", "\n"))));
  });

  it.each(SAMPLES)("gives at any chunking what the whole gives: %#", (sample) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 300 }), (sizes) => {
        let blocks = NOTHING;
        let at = 0;
        for (const size of sizes) {
          at = Math.min(sample.length, at + size);
          blocks = cut(sample.slice(0, at), false, blocks);
        }
        expect(cut(sample, true, blocks)).toEqual(cut(sample, true));
      }),
      { numRuns: 40 },
    );
  });

  it("keeps settled blocks as they are while text grows", () => {
    const text = Array.from({ length: 20 }, (_, at) => `Paragraph ${at}.\n\n`).join("");
    const first = cut(text, false);
    const next = cut(`${text}More.`, false, first);
    expect(first.settled).toHaveLength(17);
    expect(next.settled.slice(0, 17)).toEqual(first.settled);
  });

  it("finds a definition that comes late", () => {
    const first = cut("See [it][1].\n\na\n\nb\n\nc\n\nd\n", false);
    const late = cut(`${first.text}\n[1]: https://example.org\n`, false, first);
    expect(renderBlocks(late)).toContain('href="https://example.org"');
  });

  it("shows HTML as text", () => {
    const html = renderBlocks(cut("<img src=x onerror=alert(1)> <script>alert(1)</script>", true));
    expect(html).not.toMatch(/<(img|script)/);
  });
});
