/** Chats: asked, branched, stopped, found again. */
import { answered, ask, assistant, expect, get, madeChat, openPage, user, withSettings } from "./steps.mjs";

const SHORT = { temperature: 0, max_output_tokens: 24 };

/** A chat with branches is the same after a reload and in another browser. */
export async function chats({ page, url, browser }) {
  await withSettings(page, SHORT);
  await openPage(page, url);
  await ask(page, "What is the capital of France?");
  expect(/\d tokens/.test(await page.textContent(".stats")), "the answer has no numbers");
  await page.getByRole("button", { name: "Answer again" }).click();
  await answered(page);
  await page.getByText("2 / 2").waitFor();
  await page.locator(".user").hover();
  await page.getByRole("button", { name: "Edit the message" }).click();
  await page.fill(".editor textarea", "What is the capital of Italy?");
  await page.getByRole("button", { name: "Send", exact: true }).first().click();
  await page.getByText("What is the capital of Italy?").waitFor();
  await answered(page);
  const shown = await page.textContent(".bubble");
  const said = await page.textContent(".said");
  await page.reload();
  await page.locator(".said").waitFor();
  const second = await (await browser.newContext()).newPage();
  await second.goto(page.url());
  await second.locator(".said").waitFor();
  for (const one of [page, second]) {
    expect((await one.textContent(".bubble")) === shown && (await one.textContent(".said")) === said, "another text after a reload");
    await one.getByText("2 / 2").waitFor();
  }
  await page.getByRole("button", { name: "Previous message" }).click();
  await page.locator(".bubble", { hasText: "France" }).waitFor();
}

/** Stop ends the sequence on the server, and keeps what was said. */
export async function stop({ page, url }) {
  await withSettings(page, { temperature: 0 });
  await openPage(page, url);
  const before = await aborts(url);
  await page.fill("#message", "Write a very long story about a king, his castle and his seven daughters, with many chapters.");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => (document.querySelector(".said")?.textContent ?? "").length > 20);
  await page.keyboard.press("Escape");
  await answered(page);
  const said = await page.textContent(".said");
  for (let i = 0; (await aborts(url)) === before; i++) {
    expect(i < 40, "the sequence goes on");
    await page.waitForTimeout(50);
  }
  await page.getByRole("link", { name: "Write a very long story" }).waitFor();
  await page.waitForTimeout(500);
  await page.reload();
  await page.locator(".said").waitFor();
  expect((await page.textContent(".said")) === said, "what was said is gone");
}

async function aborts(url) {
  return Number(/^stoa_aborts_total (.*)$/m.exec(await (await fetch(`${url}/metrics`)).text())[1]);
}

/** Chats are found by their texts, renamed, exported, deleted, and imported again. */
export async function transfer({ page, url }) {
  const id = await madeChat(url, "About birds", [user("Do penguins fly?"), assistant("They swim.")]);
  await openPage(page, url, `#/chat/${id}`);
  await page.fill("#search-chats", "penguins swim");
  await page.getByRole("link", { name: "About birds" }).waitFor();
  await page.getByRole("button", { name: "More about About birds" }).click();
  await page.getByRole("button", { name: "Rename" }).click();
  await page.fill(".dialog input", "Penguins");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Penguins" }).waitFor();
  await page.getByRole("button", { name: "More about Penguins" }).click();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export", exact: true }).click();
  const file = await (await saved).path();
  await page.getByRole("button", { name: "More about Penguins" }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.locator(".dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("No chat has these words.").waitFor();
  await page.locator('input[accept*="json"]').setInputFiles(file);
  await page.getByRole("link", { name: "Penguins" }).click();
  await page.getByText("They swim.").waitFor();
  const left = (await get(url, "/v1/conversations?limit=100")).data.filter((one) => one.metadata.title === "Penguins");
  expect(left.length === 1 && left[0].id !== id, "it was not imported once");
}

/** 500 messages scroll; how fast is printed, and bounded where something is broken. */
export async function longChat({ page, url }) {
  const text = "A **paragraph** with `code`, and a list:\n\n- one\n- two\n\n```python\nprint(1)\n```";
  const items = Array.from({ length: 500 }, (_, i) => (i % 2 ? assistant(`${i}. ${text}`) : user(`Message ${i}`)));
  const id = await madeChat(url, "Long", items);
  await openPage(page, url, `#/chat/${id}`);
  await page.getByText("Message 498").waitFor();
  const times = await page.evaluate(async () => {
    const box = document.querySelector(".turns");
    const found = [];
    let last = performance.now();
    for (let i = 0; i < 60; i++) {
      box.scrollTop -= 400;
      const now = await new Promise(requestAnimationFrame);
      found.push(now - last);
      last = now;
    }
    return found.sort((a, b) => a - b);
  });
  expect(times[30] < 200, `half of the frames take ${times[30]} ms`);
  console.log(`frames: median ${times[30].toFixed(1)} ms, 90 % within ${times[54].toFixed(1)} ms`);
}

/** A picture is attached, read by a model that sees, and is there after a reload. */
export async function pictures({ page, url }) {
  await withSettings(page, SHORT);
  await openPage(page, url);
  await page.selectOption("select.model", "picture-questions");
  const drawn = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 32;
    const pen = canvas.getContext("2d");
    pen.fillRect(0, 0, 32, 32);
    pen.fillStyle = "rgb(255, 0, 0)";
    pen.fillRect(8, 8, 14, 14);
    return canvas.toDataURL("image/png").split(",")[1];
  });
  await page.locator('.composer input[type="file"]').setInputFiles({ name: "red.png", mimeType: "image/png", buffer: Buffer.from(drawn, "base64") });
  await page.getByRole("button", { name: "Remove red.png" }).waitFor();
  await ask(page, "what color is the object?");
  expect((await page.textContent(".said")).trim() === "red", `it says ${await page.textContent(".said")}`);
  await page.reload();
  await page.locator(".user img.picture").waitFor();
}

/** What goes wrong is told where it went wrong, with a way on. */
export async function failure({ page, url, problems }) {
  await withSettings(page, { temperature: 0, max_output_tokens: 16 });
  await openPage(page, url);
  await page.fill("#message", "word ".repeat(12_000));
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("context").first().waitFor();
  await page.getByRole("button", { name: "Change the message" }).click();
  await page.fill("#message", "Hello.");
  await page.keyboard.press("Enter");
  await page.locator(".said").waitFor();
  problems.length = 0; // the browser logs the refusal, too
}
