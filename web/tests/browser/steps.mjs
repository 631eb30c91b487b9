/** What several scenarios do. */
export async function post(url, path, body) {
  const answer = await fetch(url + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

export async function get(url, path) {
  const answer = await fetch(url + path);
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

export async function openPage(page, url, fragment = "") {
  await page.goto(`${url}/${fragment}`);
  await page.waitForSelector("main h1");
}

export async function ask(page, text) {
  await page.fill("#message", text);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await answered(page);
}

export async function answered(page) {
  await page.getByRole("button", { name: "Send" }).waitFor({ timeout: 60_000 });
}

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

/** Short answers, the same ones each time. */
export async function withSettings(page, numbers) {
  await page.addInitScript((text) => localStorage.setItem("stoa.settings", text), JSON.stringify({ numbers }));
}

/** A chat with these items, as an earlier visit would have left it. */
export async function madeChat(url, title, items, metadata = {}) {
  const made = await post(url, "/v1/conversations", { metadata: { title, updated: String(Date.now()), ...metadata }, items: items.slice(0, 20) });
  for (let i = 20; i < items.length; i += 20) await post(url, `/v1/conversations/${made.id}/items`, { items: items.slice(i, i + 20) });
  return made.id;
}

export const user = (text) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });
export const assistant = (text, annotations = []) => ({ type: "message", role: "assistant", content: [{ type: "output_text", text, annotations }] });

/** A store with one file, ready to be searched. Returns both ids. */
export async function madeStore(url, name, filename, text) {
  const form = new FormData();
  form.set("purpose", "assistants");
  form.set("file", new Blob([text]), filename);
  const file = await (await fetch(`${url}/v1/files`, { method: "POST", body: form })).json();
  const store = await post(url, "/v1/vector_stores", { name });
  await post(url, `/v1/vector_stores/${store.id}/files`, { file_id: file.id });
  for (let i = 0; i < 300; i++) {
    const found = await get(url, `/v1/vector_stores/${store.id}/files/${file.id}`);
    if (found.state === "ready") return { store: store.id, file: file.id };
    expect(found.state !== "failed", `${filename} failed`);
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`${filename} is not read`);
}
