/** Architectures in numbers, counted by the server. */
import { post } from "./client";

export interface View {
  layers: number[];
  reach: number | null;
  ahead: number | null;
  keys: number;
}

export interface Description {
  layers: number;
  context: number;
  parameters: number;
  active_parameters: number;
  flops_per_token: number;
  flops_per_token_full: number;
  optimal_tokens: number;
  optimal_flops: number;
  views: View[];
  caches: { layers: number[]; per_token: number[][]; reach: number | null; of: string }[];
  bytes_per_token: number;
  bytes_per_sequence: number;
  bytes_per_context: number;
  variants: { name: string; bytes_per_token: number; bytes_per_context: number }[];
  curve: [number, number][];
}

export interface Architecture {
  architecture: string;
  description: Description;
}

export interface Asked {
  model?: string;
  config?: object;
  context?: number;
  bytes_per_number?: number;
}

export const describe = (asked: Asked): Promise<Architecture> => post<Architecture>("/v1/architectures", asked);

/** What a served model does with a short text. */
export interface Inspection {
  tokens: { id: number; text: string }[];
  layers: { layer: number; heads: number }[];
  attention: { layer: number; head: number; weights: number[][] } | null;
  experts: { layer: number; experts: number; chosen: number[][]; weights: number[][] }[];
}

export const inspect = (model: string, input: string, layer: number | null, head: number): Promise<Inspection> =>
  post<Inspection>("/v1/architectures/inspect", { model, input, layer, head });
