/** Models, readiness, and the limits of parameters, which come from the server's own description. */
import { signal } from "@preact/signals";
import { get } from "./client";

export interface Model {
  id: string;
  input_modalities: string[];
  output_modalities: string[];
  max_model_len: number | null;
  sampling: Record<string, number> | null;
}

export interface Limits {
  least?: number;
  most?: number;
}

export const models = signal<Model[]>([]);
export const version = signal("");

export async function loadModels(): Promise<void> {
  models.value = (await get<{ data: Model[] }>("/v1/models")).data;
  version.value = (await get<{ version: string }>("/version")).version;
}

export function chatModels(): Model[] {
  return models.value.filter((model) => takes(model, "text", "text"));
}

/** The model that hears recordings, if there is one. */
export function hearingModel(): Model | undefined {
  return models.value.find((model) => takes(model, "audio", "text") && !takes(model, "text", "text"));
}

/** Whether the server keeps documents and finds passages in them. */
export function knows(): boolean {
  return models.value.some((model) => takes(model, "text", "embeddings"));
}

/** Whether a model reads pictures in messages. */
export function seeing(name: string): boolean {
  return models.value.some((model) => model.id === name && takes(model, "image", "text"));
}

function takes({ input_modalities, output_modalities }: Model, input: string, output: string): boolean {
  return input_modalities.includes(input) && output_modalities.includes(output);
}

export function contextOf(name: string): number | null {
  return models.value.find((model) => model.id === name)?.max_model_len ?? null;
}

/** What a field of a request is where it is left out. */
export function standardOf(name: string, field: string): number | undefined {
  return models.value.find((model) => model.id === name)?.sampling?.[field];
}

interface Schema {
  minimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  anyOf?: Schema[];
}

interface OpenApi {
  components: { schemas: Record<string, { properties?: Record<string, Schema> }> };
}

/** The limits of the fields of a response's request. */
export async function loadLimits(): Promise<Record<string, Limits>> {
  const fields = (await get<OpenApi>("/openapi.json")).components.schemas["ResponseRequest"]?.properties ?? {};
  return Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, limitsOf(schema)]));
}

function limitsOf(schema: Schema): Limits {
  const found = [schema, ...(schema.anyOf ?? [])].find((one) => one.minimum !== undefined || one.maximum !== undefined);
  const most = found?.maximum ?? (found?.exclusiveMaximum === undefined ? undefined : found.exclusiveMaximum - 1);
  return { ...(found?.minimum !== undefined && { least: found.minimum }), ...(most !== undefined && { most }) };
}
