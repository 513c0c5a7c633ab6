import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** `make portal-dev` serves the sources with hot reload and passes API calls on to a running `make up`. */
const api = process.env.RUNYARD_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    cssCodeSplit: true,
    sourcemap: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    proxy: { "^/(api|sign-in|sign-out|health|openapi.json)": { target: api, ws: true, changeOrigin: true } },
  },
  test: { include: ["src/**/*.test.ts", "tests/*.test.ts"], environment: "node" },
});
