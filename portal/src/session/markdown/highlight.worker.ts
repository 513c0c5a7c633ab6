/** Tokens of code by shiki with its JavaScript engine; a language's grammar is read when it is first wanted. */
import { createCssVariablesTheme, createHighlighterCore } from "shiki/core";
import { createJavaScriptRegexEngine } from "shiki/engine/javascript";
import type { Asked, TokenKind, Told } from "./highlight";

const LANGUAGES = {
  bash: () => import("shiki/langs/bash.mjs"),
  c: () => import("shiki/langs/c.mjs"),
  cpp: () => import("shiki/langs/cpp.mjs"),
  css: () => import("shiki/langs/css.mjs"),
  diff: () => import("shiki/langs/diff.mjs"),
  docker: () => import("shiki/langs/docker.mjs"),
  go: () => import("shiki/langs/go.mjs"),
  html: () => import("shiki/langs/html.mjs"),
  ini: () => import("shiki/langs/ini.mjs"),
  java: () => import("shiki/langs/java.mjs"),
  javascript: () => import("shiki/langs/javascript.mjs"),
  json: () => import("shiki/langs/json.mjs"),
  markdown: () => import("shiki/langs/markdown.mjs"),
  python: () => import("shiki/langs/python.mjs"),
  rust: () => import("shiki/langs/rust.mjs"),
  sql: () => import("shiki/langs/sql.mjs"),
  toml: () => import("shiki/langs/toml.mjs"),
  tsx: () => import("shiki/langs/tsx.mjs"),
  typescript: () => import("shiki/langs/typescript.mjs"),
  xml: () => import("shiki/langs/xml.mjs"),
  yaml: () => import("shiki/langs/yaml.mjs"),
} as const;

const ALIASES: Record<string, keyof typeof LANGUAGES> = {
  dockerfile: "docker",
  htm: "html",
  js: "javascript",
  jsx: "tsx",
  md: "markdown",
  py: "python",
  rs: "rust",
  sh: "bash",
  shell: "bash",
  ts: "typescript",
  yml: "yaml",
  zsh: "bash",
};

const KINDS: Record<string, TokenKind> = {
  "--k-token-keyword": "keyword",
  "--k-token-string": "string",
  "--k-token-string-expression": "string",
  "--k-token-comment": "comment",
  "--k-token-constant": "constant",
  "--k-token-function": "function",
  "--k-token-parameter": "parameter",
  "--k-token-punctuation": "punctuation",
  "--k-token-link": "link",
};

const theme = createCssVariablesTheme({ name: "portal", variablePrefix: "--k-" });
const shiki = createHighlighterCore({ themes: [theme], langs: [], engine: createJavaScriptRegexEngine({ forgiving: true }) });

function languageOf(name: string): keyof typeof LANGUAGES | null {
  const lower = name.toLowerCase();
  return lower in LANGUAGES ? (lower as keyof typeof LANGUAGES) : (ALIASES[lower] ?? null);
}

async function tokensOf({ id, language, text }: Asked): Promise<Told> {
  const name = languageOf(language);
  if (!name) return { id, lines: null };
  const highlighter = await shiki;
  if (!highlighter.getLoadedLanguages().includes(name)) await highlighter.loadLanguage((await LANGUAGES[name]()).default);
  const { tokens } = highlighter.codeToTokens(text, { lang: name, theme: "portal" });
  return { id, lines: tokens.map((line) => line.map((token) => [KINDS[/--k-[a-z-]+/.exec(token.color ?? "")?.[0] ?? ""] ?? "", token.content])) };
}

addEventListener("message", ({ data }: MessageEvent<Asked>) => {
  void tokensOf(data)
    .catch((): Told => ({ id: data.id, lines: null }))
    .then((told) => postMessage(told));
});
