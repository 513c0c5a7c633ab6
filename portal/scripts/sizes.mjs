/** Fail when the build is larger than budget.json allows. Sizes are gzipped kilobytes (1000 bytes). */
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const budget = JSON.parse(readFileSync("budget.json", "utf8"));
const page = readFileSync("dist/index.html", "utf8");
const kb = (name) => gzipSync(readFileSync(`dist/assets/${name}`), { level: 9 }).length / 1000;
const files = readdirSync("dist/assets").filter((name) => /\.(js|css)$/.test(name));
const sum = (names) => names.reduce((total, name) => total + kb(name), 0);

const first = files.filter((name) => page.includes(name));
const js = sum(first.filter((name) => name.endsWith(".js")));
const css = sum(first.filter((name) => name.endsWith(".css")));
const apart = (name) => budget.apart.some((part) => name.includes(part));
const routes = files.filter((name) => name.endsWith(".js") && !page.includes(name) && !apart(name));

const faults = [];
if (js > budget.firstLoadJsKb) faults.push(`first load: ${js.toFixed(1)} kB of JavaScript, at most ${budget.firstLoadJsKb}`);
if (css > budget.firstLoadCssKb) faults.push(`first load: ${css.toFixed(1)} kB of CSS, at most ${budget.firstLoadCssKb}`);
for (const name of routes) if (kb(name) > budget.routeJsKb) faults.push(`${name}: ${kb(name).toFixed(1)} kB, at most ${budget.routeJsKb}`);

process.stdout.write(`first load ${js.toFixed(1)} kB JavaScript, ${css.toFixed(1)} kB CSS\n`);
if (faults.length > 0) {
  process.stderr.write(`${faults.join("\n")}\n`);
  process.exit(1);
}
