import i18next from "eslint-plugin-i18next";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const sideways = ["inbox", "apps", "usage", "settings", "admin", "ops"];

export default tseslint.config(
  { ignores: ["dist", "dist.new", "scripts", "*.config.*", "node_modules", "src/api/schema.d.ts", "public"] },
  ...tseslint.configs.strict,
  {
    files: ["src/**/*.{ts,tsx}", "tests/**/*.ts"],
    plugins: { "react-hooks": hooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Name what you export." },
        { selector: "JSXAttribute[name.name='style']", message: "Sizes and colours belong in a style sheet." },
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "No raw HTML." },
      ],
    },
  },
  {
    files: ["src/**/*.tsx"],
    plugins: { i18next },
    rules: { "i18next/no-literal-string": ["error", { mode: "jsx-text-only", words: { exclude: ["[0-9!-/:-@[-`{-~\\s·…–—×→←↑↓✓✕▸▾●○◌⌘⇧]+"] } }] },
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    ignores: ["src/parts/**"],
    rules: { "no-restricted-imports": ["error", { patterns: [{ group: ["@base-ui/*"], message: "Wrap it in parts/." }] }] },
  },
  ...sideways.map((route) => ({
    files: [`src/${route}/**/*.{ts,tsx}`],
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["@base-ui/*", ...sideways.filter((one) => one !== route).map((one) => `../${one}/*`)] }] },
      ],
    },
  })),
);
