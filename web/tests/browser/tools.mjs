/** Tools: their servers, calls, and approvals in place. */
import { expect, madeChat, openPage, post } from "./steps.mjs";

const CALL = {
  model: "smollm2",
  input: "Look into the folder.",
  tools: [{ type: "mcp", server_label: "files", allowed_tools: ["list_directory"], require_approval: "always" }],
  tool_choice: { type: "mcp", server_label: "files", name: "list_directory" },
  temperature: 0,
};

async function asked(url, title) {
  const conversation = await madeChat(url, title, [], { servers: "files", asking: "always", numbers: '{"temperature":0,"max_output_tokens":32}' });
  await post(url, "/v1/responses", { ...CALL, conversation });
  return conversation;
}

/** A call that waits runs once it is allowed, and is shown with what came of it. */
export async function approval({ page, url }) {
  await openPage(page, url, `#/chat/${await asked(url, "Allowed")}`);
  await page.getByText("May list_directory of files be called with this?").waitFor();
  await page.getByRole("button", { name: "Allow once" }).click();
  await page.locator(".card", { hasText: "list_directory" }).first().waitFor({ timeout: 60_000 });
  await page.locator(".card summary").first().click();
  await page.locator(".card").getByText("Arguments").first().waitFor();
}

/** A call that is denied does not run. */
export async function denial({ page, url }) {
  const conversation = await asked(url, "Denied");
  await openPage(page, url, `#/chat/${conversation}`);
  await page.getByRole("button", { name: "Deny" }).click();
  await page.waitForFunction(() => !document.querySelector(".approval button:enabled"));
  await page.getByRole("button", { name: "Send" }).waitFor({ timeout: 60_000 });
  const { data } = await (await fetch(`${url}/v1/conversations/${conversation}/items`)).json();
  expect(!data.some((item) => item.type === "mcp_call" && item.output), "it ran");
}

/** The servers with their tools. */
export async function servers({ page, url }) {
  await openPage(page, url, "#/tools");
  const files = page.getByRole("region", { name: "files" });
  await files.getByText("ready", { exact: true }).waitFor();
  await files.locator("summary", { hasText: "read_text" }).click();
  await files.getByText("Path of a file").first().waitFor();
}
