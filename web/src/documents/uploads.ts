/** Uploads that are under way, three at a time, or have failed. */
import { signal } from "@preact/signals";
import { message } from "../api/client";
import { addFile, upload } from "../api/documents";

interface Upload {
  key: number;
  store: string;
  name: string;
  share: number;
  error: string;
}

const AT_ONCE = 3;
export const uploads = signal<Upload[]>([]);
let last = 0;

export function pending(store: string): boolean {
  return uploads.value.some((one) => one.store === store && !one.error);
}

function change(key: number, changed: Partial<Upload>): void {
  uploads.value = uploads.value.map((one) => (one.key === key ? { ...one, ...changed } : one));
}

export async function uploadAll(store: string, files: readonly File[]): Promise<void> {
  const waiting = files.map((file) => ({ file, key: ++last }));
  const failed = uploads.value.filter((one) => one.store !== store || !one.error); // of earlier ones nobody wants to know any more
  uploads.value = [...waiting.map(({ file, key }) => ({ key, store, name: file.name, share: 0, error: "" })), ...failed];
  await Promise.all(Array.from({ length: AT_ONCE }, () => work(store, waiting)));
}

async function work(store: string, waiting: { file: File; key: number }[]): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { file, key } = next;
    try {
      await addFile(store, await upload(file, (share) => change(key, { share })));
      uploads.value = uploads.value.filter((one) => one.key !== key);
    } catch (error) {
      change(key, { error: message(error) });
    }
  }
}
