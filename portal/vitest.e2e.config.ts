import { defineConfig } from "vitest/config";

/** Browser tests against a running stack: RUNYARD_URL, RUNYARD_TOKEN and RUNYARD_SIGN_IN (a one-time address) name it. */
export default defineConfig({
  test: {
    include: ["tests/e2e/*.e2e.ts"],
    environment: "node",
    globalSetup: ["tests/e2e/signIn.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
