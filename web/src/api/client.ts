/** Requests to the server that this page comes from. The key is kept for the session of this tab alone. */
import { signal } from "@preact/signals";

const KEY = "stoa.key";
export const key = signal(sessionStorage.getItem(KEY) ?? "");
/** Whether the server has refused us without a key, or with the one that we have. */
export const keyRefused = signal(false);

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null = null,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

export function setKey(value: string): void {
  key.value = value;
  keyRefused.value = false;
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

export function headers(more: Record<string, string> = {}): Record<string, string> {
  return key.value ? { ...more, authorization: `Bearer ${key.value}` } : more;
}

export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers: headers(init.headers as Record<string, string>) });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "The server does not answer. Is it still running?", "unreachable");
  }
  if (!answer.ok) throw await toError(answer);
  return answer;
}

async function toError(answer: Response): Promise<ApiError> {
  if (answer.status === 401) keyRefused.value = true;
  const body: unknown = await answer.json().catch(() => null);
  const told = (body as { error?: { message?: string; code?: string; param?: string } } | null)?.error;
  return new ApiError(answer.status, told?.message ?? `The server answered ${answer.status}.`, told?.code, told?.param);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await send(path, signal ? { signal } : {})).json()) as T;
}

export async function post<T>(path: string, body: unknown, init: RequestInit = {}): Promise<T> {
  const answer = await send(path, { ...init, method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  return (await answer.json()) as T;
}

export async function remove(path: string): Promise<void> {
  await send(path, { method: "DELETE" });
}

interface List<T> {
  data: T[];
  last_id: string;
  has_more: boolean;
}

/** All pages of a list, at most `most` things. */
export async function all<T>(path: string, most = 2000): Promise<T[]> {
  const found: T[] = [];
  let after = "";
  while (found.length < most) {
    const mark = path.includes("?") ? "&" : "?";
    const page = await get<List<T>>(`${path}${mark}limit=100${after && `&after=${after}`}`);
    found.push(...page.data);
    if (!page.has_more) break;
    after = page.last_id;
  }
  return found;
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
