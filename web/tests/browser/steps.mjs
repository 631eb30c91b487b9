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

/** A PDF whose pages hold these lines. */
export function pdf(pages) {
  const objects = ["<< /Type /Catalog /Pages 2 0 R >>", `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, i) => `${4 + 2 * i} 0 R`).join(" ")}] >>`];
  objects.push("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
  pages.forEach((lines, i) => {
    const drawn = `BT /F1 14 Tf 72 720 Td 20 TL ${lines.map((line) => `(${line.replace(/[()\\]/g, "\\$&")}) Tj T*`).join(" ")} ET`;
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + 2 * i} 0 R >>`);
    objects.push(`<< /Length ${drawn.length} >>\nstream\n${drawn}\nendstream`);
  });
  let text = "%PDF-1.4\n";
  const offsets = objects.map((object, i) => {
    const at = text.length;
    text += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = offsets.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
  return `${text}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer << /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF`;
}

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
