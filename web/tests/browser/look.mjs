/** How the page looks and is used: no violation that axe finds, in both themes and on a phone's width; the keyboard; speed. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { assistant, expect, madeChat, madeStore, openPage, user } from "./steps.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TEXT = "# Title\n\nSome *text* with `code`, [a link](https://example.org) and $a^2+b^2=c^2$.\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nprint('hi')\n```\n\n> quoted";

export async function accessible({ page, url }) {
  const { store, file } = await madeStore(url, "Looked at", "leave.md", "Everybody has 31 days of paid leave a year.");
  const cited = { type: "file_citation", index: 6, file_id: file, filename: "leave.md", vector_store_id: store, start: 0, end: 9, quote: "Everybody" };
  const chat = await madeChat(url, "Looked at", [user("Show me."), assistant(TEXT, [cited])]);
  const rooms = ["#/chat", `#/chat/${chat}`, "#/documents", `#/documents/${store}`, "#/tools", "#/architectures", "#/operator"];
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      for (const room of rooms) await look(page, url, room, `${theme}, ${width}`);
    }
  }
}

async function look(page, url, room, how) {
  await page.goto("about:blank");
  await openPage(page, url, room);
  await page.waitForTimeout(250);
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const violations = await page.evaluate(async () => (await window.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n")}`));
  expect(!violations.length, `${room} (${how}): ${violations.join("\n")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  expect(!wide, `${room} (${how}) is wider than the window`);
}

/** All that a hand does with a mouse, without one. */
export async function keyboard({ page, url }) {
  await openPage(page, url);
  await page.keyboard.press("Alt+2");
  await page.getByRole("heading", { name: "Documents" }).first().waitFor();
  await page.keyboard.press("Control+Shift+O");
  await page.locator("#message:focus").waitFor();
  await page.keyboard.press("Control+k");
  await page.locator("#search-chats:focus").waitFor();
  await page.locator("body").press("Tab");
  await page.locator("main").press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".dialog").waitFor({ state: "detached" });
}

/** Seconds to a page that takes a message, and what it took to load; printed, and only bounded where something is broken. */
export async function speed({ page, url }) {
  const started = Date.now();
  await page.goto(url);
  await page.locator("#message").waitFor();
  const usable = Date.now() - started;
  const bytes = await page.evaluate(() => performance.getEntriesByType("resource").reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0));
  console.log(`usable after ${usable} ms, ${bytes} bytes`);
  expect(bytes > 10_000 && bytes < 250_000, `the page loads ${bytes} bytes`);
}
