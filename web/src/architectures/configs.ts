/** What the sliders say, as config.json of models that the server can count. */
export interface Sizes {
  layers: number;
  heads: number;
  groups: number;
  headDim: number;
  window: number;
}

export const SIZES: Sizes = { layers: 32, heads: 32, groups: 8, headDim: 128, window: 4096 };

export function attention({ layers, heads, groups, headDim }: Sizes, context: number): object {
  const dim = heads * headDim;
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: dim,
    head_dim: headDim,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    intermediate_size: 4 * dim,
    vocab_size: 32000,
    max_position_embeddings: context,
    rms_norm_eps: 1e-5,
    hidden_act: "silu",
    tie_word_embeddings: false,
  };
}

export function sliding(sizes: Sizes, context: number): object {
  return { ...attention(sizes, context), architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: sizes.window };
}

export function stateSpace({ layers, heads, headDim }: Sizes): object {
  return {
    architectures: ["Mamba2ForCausalLM"],
    model_type: "mamba2",
    hidden_size: heads * headDim,
    num_hidden_layers: layers,
    num_heads: (2 * heads * headDim) / 64,
    head_dim: 64,
    state_size: 128,
    expand: 2,
    n_groups: 1,
    conv_kernel: 4,
    vocab_size: 32000,
    layer_norm_epsilon: 1e-5,
    hidden_act: "silu",
    use_bias: false,
    use_conv_bias: true,
    tie_word_embeddings: false,
    residual_in_fp32: true,
    rms_norm: true,
    chunk_size: 256,
  };
}

/** Numbers that divide `count`, which numbers of groups must. */
export function divisors(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1).filter((n) => count % n === 0);
}
