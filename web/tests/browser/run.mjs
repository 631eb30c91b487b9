/** Runs scenarios in a real browser: run.mjs SERVER FOLDER SCENARIO... Screenshots of what failed go to FOLDER. Whatever the page logs as an
 * error fails the scenario, and so does a request to another host. */
import { chromium } from "playwright-core";
import * as chat from "./chat.mjs";
import * as documents from "./documents.mjs";
import * as look from "./look.mjs";
import * as rooms from "./rooms.mjs";
import * as tools from "./tools.mjs";

const SCENARIOS = { ...chat, ...documents, ...look, ...rooms, ...tools };
const [url, folder, ...names] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
let failed = 0;

for (const name of names) {
  const started = Date.now();
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.stack ?? error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(url) || problems.push(`asked ${request.url()}`));
  try {
    await SCENARIOS[name]({ page, url, browser, problems });
    if (problems.length) throw new Error(problems.join("\n"));
    console.log(`ok ${name} ${Date.now() - started} ms`);
  } catch (error) {
    failed = 1;
    console.log(`FAILED ${name}: ${error.stack}`);
    await page.screenshot({ path: `${folder}/${name}.png` }).catch(() => undefined);
  }
  await context.close();
}
await browser.close();
process.exit(failed);
