/** Sign one browser in and keep its cookie for every test. */
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    state: string;
  }
}

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Without a sandbox, as root needs; no GPU, and no calls of its own to the network. */
export const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

export async function setup(project: TestProject): Promise<void> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(process.env.RUNYARD_SIGN_IN ?? "");
  const state = await context.storageState();
  project.provide("state", JSON.stringify(state));
  await browser.close();
}
