/** Architectures and the operator's room: the numbers are the server's, and what is moved moves. */
import { expect, openPage, post } from "./steps.mjs";

export async function architectures({ page, url }) {
  await openPage(page, url, "#/architectures");
  await page.getByRole("region", { name: "smollm2" }).getByText("135M").first().waitFor();
  await page.getByRole("button", { name: "Sliding window" }).click();
  const grid = page.getByRole("slider", { name: "Sliding window" });
  await grid.press("ArrowUp");
  expect((await grid.getAttribute("aria-valuetext")).includes("sees 5 tokens"), "a window of five has other tokens");
  const memory = page.getByRole("region", { name: "Memory of a text" });
  const value = async (name) => memory.locator("li", { hasText: name }).locator("meter").getAttribute("value");
  await memory.locator("li", { hasText: "GQA" }).waitFor();
  const [all, few] = [await value("MHA"), await value("GQA")].map(Number);
  expect(all === 4 * few, "32 heads in 8 groups keep a quarter");
  await memory.getByLabel("Context").press("ArrowRight");
  await page.waitForFunction((before) => Number(document.querySelector(".bars meter").getAttribute("value")) === 2 * before, all);
}

/** A text in the served models: layer and head chosen, experts where there are any. */
export async function inspected({ page, url }) {
  await openPage(page, url, "#/architectures");
  const figure = page.getByRole("region", { name: "A text in the model" });
  await figure.getByLabel("A short text").fill("The cat sat on the mat.");
  await figure.getByRole("button", { name: "Look inside" }).click();
  const grid = figure.getByRole("slider");
  await grid.waitFor();
  const before = await figure.locator(".share").count();
  await figure.getByLabel("Layer").selectOption("5");
  await figure.getByLabel("Head").selectOption("3");
  await page.waitForFunction((count) => document.querySelectorAll(".share").length !== count, before);
  await page.waitForFunction(() => ["Layer", "Head"].map((name) => document.querySelector(`select[aria-label=${name}]`).value).join() === "5,3");
  for (let i = 0; i < 8; i++) await grid.press("ArrowUp");
  await figure.locator('[role="slider"][aria-valuenow="1"]').waitFor();
  await page.getByRole("combobox", { name: "Model" }).selectOption("number-words-mixtral");
  await figure.getByLabel("A short text").fill("one two three");
  await figure.getByRole("button", { name: "Look inside" }).click();
  await figure.getByRole("region", { name: "Experts of the tokens" }).waitFor();
}

export async function operator({ page, url }) {
  await openPage(page, url, "#/operator");
  await page.getByText("ready", { exact: true }).waitFor();
  await post(url, "/v1/chat/completions", { model: "smollm2", max_tokens: 16, messages: [{ role: "user", content: "Hello" }] });
  await page.getByRole("region", { name: "Requests" }).getByText("/v1/chat/completions").waitFor();
  await page.getByRole("region", { name: "Models" }).getByText("minilm").waitFor();
}
