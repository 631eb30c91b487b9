/** Files and vector stores. */
import { signal } from "@preact/signals";
import { all, ApiError, get, key, post, remove, send } from "./client";

export interface Store {
  id: string;
  name: string | null;
  created_at: number;
  usage_bytes: number;
  status: string;
  file_counts: { in_progress: number; completed: number; failed: number; cancelled: number; total: number };
}

export type Attributes = Record<string, string | number | boolean>;

export interface StoreFile {
  id: string;
  filename: string;
  created_at: number;
  usage_bytes: number;
  state: "queued" | "parsing" | "embedding" | "ready" | "failed" | "cancelled";
  progress: number;
  last_error: { code: string; message: string } | null;
  notes: string[];
  attributes: Attributes;
}

export interface Hit {
  file_id: string;
  filename: string;
  score: number;
  attributes: Attributes;
  content: { type: string; text: string }[];
  chunk_id: number;
  page: number | null;
  headings: string[];
  start: number;
  end: number;
}

export interface FileText {
  filename: string;
  start: number;
  end: number;
  characters: number;
  text: string;
}

const PATH = "/v1/vector_stores";
export const stores = signal<Store[]>([]);

export async function loadStores(): Promise<void> {
  stores.value = await all<Store>(PATH);
}

export const createStore = (name: string): Promise<Store> => post<Store>(PATH, { name });
export const renameStore = (id: string, name: string): Promise<Store> => post<Store>(`${PATH}/${id}`, { name });
export const deleteStore = (id: string): Promise<void> => remove(`${PATH}/${id}`);
export const listFiles = (store: string): Promise<StoreFile[]> => all<StoreFile>(`${PATH}/${store}/files`);
export const storeFile = (store: string, file: string): Promise<StoreFile> => get<StoreFile>(`${PATH}/${store}/files/${file}`);
export const setAttributes = (store: string, file: string, attributes: Attributes): Promise<StoreFile> => post(`${PATH}/${store}/files/${file}`, { attributes });
export const addFile = (store: string, file: string): Promise<StoreFile> => post(`${PATH}/${store}/files`, { file_id: file });

/** How far the server is with a file, in words. */
export function stateOf({ state, progress }: StoreFile): string {
  return ["parsing", "embedding"].includes(state) && progress > 0 ? `${state} ${Math.round(100 * progress)} %` : state;
}

/** Also from the other stores: nobody wants an upload that stands nowhere. */
export const deleteFile = (file: string): Promise<void> => remove(`/v1/files/${file}`);

export async function search(store: string, query: string, filters: object | null): Promise<Hit[]> {
  const body = { query, max_num_results: 20, ...(filters && { filters }) };
  return (await post<{ data: Hit[] }>(`${PATH}/${store}/search`, body)).data;
}

export function fileText(store: string, file: string, start?: number, end?: number): Promise<FileText> {
  const span = start === undefined ? "" : `?start=${start}&end=${end}`;
  return get<FileText>(`${PATH}/${store}/files/${file}/text${span}`);
}

/** What was uploaded. */
export async function fileBytes(file: string): Promise<ArrayBuffer> {
  return (await send(`/v1/files/${file}/content`)).arrayBuffer();
}

/** Uploads with progress, which fetch cannot tell. Resolves to the file's id. */
export function upload(file: File, progress: (share: number) => void): Promise<string> {
  const form = new FormData();
  form.set("purpose", "assistants");
  form.set("file", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/files");
    if (key.value) request.setRequestHeader("authorization", `Bearer ${key.value}`);
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / Math.max(total, 1));
    request.onerror = () => reject(new ApiError(0, "the connection broke off"));
    request.onload = () => {
      const body = JSON.parse(request.responseText || "{}") as { id?: string; error?: { message: string } };
      if (body.id) resolve(body.id);
      else reject(new ApiError(request.status, body.error?.message ?? `the server answered ${request.status}`));
    };
    request.send(form);
  });
}
