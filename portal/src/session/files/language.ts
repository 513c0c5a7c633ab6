/** The name by which the highlighter knows a file's language; empty for plain text. Pure. */

const NAMES: Record<string, string> = {
  bash: "bash", c: "c", cc: "cpp", cfg: "ini", cjs: "javascript", conf: "ini", cpp: "cpp", css: "css", diff: "diff", go: "go", h: "c", hpp: "cpp",
  htm: "html", html: "html", ini: "ini", java: "java", js: "javascript", json: "json", jsonl: "json", jsx: "tsx", markdown: "markdown", md: "markdown",
  mjs: "javascript", mts: "typescript", patch: "diff", py: "python", pyi: "python", rs: "rust", sh: "bash", sql: "sql", svg: "xml", toml: "toml",
  ts: "typescript", tsx: "tsx", xml: "xml", yaml: "yaml", yml: "yaml", zsh: "bash",
};

export function languageOf(name: string): string {
  const lower = name.toLowerCase();
  if (/^(dockerfile|containerfile)(\.|$)/.test(lower)) return "docker";
  const suffix = lower.slice(lower.lastIndexOf(".") + 1);
  return suffix === lower ? "" : (NAMES[suffix] ?? "");
}
