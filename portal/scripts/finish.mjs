/** End a build: write .br and .gz beside each text file, so that the server never compresses, and put it in place. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const TEXT = /\.(js|css|html|svg|json)$/;
const [BUILT, PLACE, OLD] = ["dist.new", "dist", "dist.old"];

for (const entry of readdirSync(BUILT, { recursive: true })) {
  const file = join(BUILT, entry);
  if (!TEXT.test(file)) continue;
  const bytes = readFileSync(file);
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }));
}
rmSync(OLD, { recursive: true, force: true });
if (existsSync(PLACE)) renameSync(PLACE, OLD);
renameSync(BUILT, PLACE);
rmSync(OLD, { recursive: true, force: true });
