import react from "@vitejs/plugin-react";
import type { ProxyOptions } from "vite";
import { defineConfig } from "vitest/config";

/** `make portal-dev` serves the sources with hot reload and passes API calls on to a running `make up`. */
const api = process.env.RUNYARD_URL ?? "http://127.0.0.1:8080";

/** The API takes changes from its own pages only: for it, a page of this server is one; a page of another site is none. */
const asOwn: NonNullable<ProxyOptions["configure"]> = (proxy) => {
  type Outgoing = { setHeader: (name: string, value: string) => unknown };
  type Incoming = { headers: { origin?: string | undefined; host?: string | undefined } };
  const pass = (outgoing: Outgoing, { headers }: Incoming): void => {
    if (headers.origin === `http://${headers.host}`) outgoing.setHeader("origin", new URL(api).origin);
  };
  proxy.on("proxyReq", pass);
  proxy.on("proxyReqWs", pass);
};

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
    proxy: { "^/(api|sign-in|sign-out|health|openapi.json)": { target: api, ws: true, changeOrigin: true, configure: asOwn } },
  },
  test: { include: ["src/**/*.test.ts", "tests/*.test.ts"], environment: "node" },
});
