/** The MCP servers whose tools the chat may call. */
import { signal } from "@preact/signals";
import { get } from "./client";

export interface Tool {
  name: string;
  title: string;
  description: string;
  input_schema: { properties?: Record<string, { type?: string; description?: string }>; required?: string[] };
  read_only: boolean;
  destructive: boolean;
  open_world: boolean;
  changed: boolean;
  allowed: boolean;
}

export interface Server {
  label: string;
  kind: "builtin" | "stdio" | "http";
  state: "connecting" | "ready" | "waiting" | "failed" | "stopped";
  since: number;
  protocol_version: string | null;
  server_name: string | null;
  server_version: string | null;
  tools: Tool[];
  last_error: string | null;
  notes: string[];
  restarts: number;
  calls: number;
  failures: number;
}

export const servers = signal<Server[]>([]);

export async function loadServers(): Promise<void> {
  servers.value = (await get<{ data: Server[] }>("/v1/mcp/servers")).data;
}
