/** Sign one browser in and keep its cookie for every test. */
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    state: string;
  }
}

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export async function setup(project: TestProject): Promise<void> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(process.env.RUNYARD_SIGN_IN ?? "");
  const state = await context.storageState();
  project.provide("state", JSON.stringify(state));
  await browser.close();
}
