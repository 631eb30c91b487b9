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
