"""Architectures without experts. What a file leaves to the program that reads it (llama.cpp's src/models) is written down here."""

from models.gguf.metadata import File, Values, experts, layer_types, llama_like, rope, sizes

LAYER_NORM = "attention.layer_norm_epsilon"
_GEMMA2_27B_LAYERS, _GEMMA3_27B_LAYERS = 46, 62


def named(name: str, model_type: str) -> Values:
    return {"architectures": [f"{name}ForCausalLM"], "model_type": model_type}


def llama(file: File) -> Values:
    """What has experts is a Mixtral, and what has a window a Mistral."""
    window, like = file.meta.optional_integer("attention.sliding_window"), llama_like(file)
    if "expert_count" in file.meta.values and file.meta.integer("expert_count"):
        return like | named("Mixtral", "mixtral") | experts(file, "num_local_experts") | {"sliding_window": window}
    if window is not None:
        return like | named("Mistral", "mistral") | {"sliding_window": window}
    file.meta.ignore("expert_count", "expert_used_count")
    bias = {"attention_bias": file.has("blk.0.attn_q.bias"), "mlp_bias": file.has("blk.0.ffn_up.bias")}
    return like | named("Llama", "llama") | bias


def qwen2(file: File) -> Values:
    return llama_like(file) | named("Qwen2", "qwen2")


def qwen3(file: File) -> Values:
    return llama_like(file) | named("Qwen3", "qwen3")


def gemma(file: File) -> Values:
    return llama_like(file) | named("Gemma", "gemma") | {"hidden_activation": "gelu_pytorch_tanh"}


def gemma2(file: File) -> Values:
    like = gemma(file) | named("Gemma2", "gemma2") | _softcaps(file)
    window = {"sliding_window": file.meta.integer("attention.sliding_window", 4096), "layer_types": layer_types(file, 2)}
    return like | window | {"query_pre_attn_scalar": _per_head(like, _GEMMA2_27B_LAYERS)}


def gemma3(file: File) -> Values:
    like = gemma(file) | named("Gemma3", "gemma3_text") | _softcaps(file)
    local = {"rope_theta": file.meta.number("rope.freq_base_swa", 10_000.0)}
    return like | {
        "query_pre_attn_scalar": _per_head(like, _GEMMA3_27B_LAYERS),
        "sliding_window": file.meta.integer("attention.sliding_window"),
        "layer_types": layer_types(file, 6),
        "rope_parameters": {"full_attention": like["rope_parameters"], "sliding_attention": local},
    }


def _softcaps(file: File) -> Values:
    return {key: file.meta.optional_number(key) for key in ("attn_logit_softcapping", "final_logit_softcapping")}


def _per_head(like: Values, layers: int) -> int:
    """How queries are scaled stands in no file: as Google published it. The largest differ from the others."""
    return like["head_dim"] if like["num_hidden_layers"] != layers else like["hidden_size"] // like["num_attention_heads"]


def phi3(file: File) -> Values:
    window = file.meta.integer("attention.sliding_window", 0) or None
    return llama_like(file) | named("Phi3", "phi3") | {"sliding_window": window}


def starcoder2(file: File) -> Values:
    like = llama_like(file, LAYER_NORM)
    del like["head_dim"]
    own = {"norm_epsilon": like.pop("layer_norm_eps"), "use_bias": file.has("blk.0.attn_q.bias")}
    return like | named("Starcoder2", "starcoder2") | own


def olmo2(file: File) -> Values:
    """OLMo 3 is what has a window; no scaling stretches that layer's RoPE."""
    like, window = llama_like(file) | named("Olmo2", "olmo2"), file.meta.optional_integer("attention.sliding_window")
    if not window:
        return like
    local = {"rope_theta": file.meta.number("rope.freq_base_swa", like["rope_parameters"]["rope_theta"])}
    ropes = {"full_attention": like["rope_parameters"], "sliding_attention": local}
    return like | named("Olmo3", "olmo3") | {"sliding_window": window, "layer_types": layer_types(file, 4), "rope_parameters": ropes}


def command_r(file: File) -> Values:
    like = llama_like(file, LAYER_NORM) | named("Cohere", "cohere")
    return like | {"logit_scale": file.meta.number("logit_scale", 1.0), "use_qk_norm": file.has("blk.0.attn_q_norm.weight")}


def cohere2(file: File) -> Values:
    like = llama_like(file, LAYER_NORM) | named("Cohere2", "cohere2")
    window = {"sliding_window": file.meta.integer("attention.sliding_window"), "layer_types": layer_types(file, 4)}
    return like | window | {"logit_scale": file.meta.number("logit_scale")}


def glm(file: File) -> Values:
    return llama_like(file) | named("Glm", "glm") | {"attention_bias": file.has("blk.0.attn_q.bias")}


def glm4(file: File) -> Values:
    return glm(file) | named("Glm4", "glm4")


def smollm3(file: File) -> Values:
    """Every fourth layer without positions, which no file says."""
    return llama_like(file) | named("SmolLM3", "smollm3") | {"no_rope_layer_interval": 4}


def granite(file: File) -> Values:
    meta, like = file.meta, llama_like(file) | named("Granite", "granite")
    scales = {
        "embedding_multiplier": meta.number("embedding_scale", 1.0),
        "attention_multiplier": meta.number("attention.scale", like["head_dim"] ** -0.5),
        "residual_multiplier": meta.number("residual_scale", 1.0),
        "logits_scaling": meta.number("logit_scale", 1.0),
    }
    return like | scales


def gpt2(file: File) -> Values:
    size = sizes(file)
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": size["hidden_size"],
        "n_layer": size["num_hidden_layers"],
        "n_head": size["num_attention_heads"],
        "n_inner": size["intermediate_size"],
        "n_positions": size["max_position_embeddings"],
        "vocab_size": size["vocab_size"],
        "tie_word_embeddings": size["tie_word_embeddings"],
        "layer_norm_epsilon": file.meta.number(LAYER_NORM),
    }


def gpt_neox(file: File) -> Values:
    like, size = {"layer_norm_eps": file.meta.number(LAYER_NORM)}, sizes(file)
    head_dim = size["hidden_size"] // size["num_attention_heads"]
    values = rope(file, head_dim)
    parallel = {"use_parallel_residual": file.meta.flag("use_parallel_residual", True)}
    ropes = {"rotary_emb_base": values["rope_theta"], "rotary_pct": values.get("partial_rotary_factor", 1.0)}
    return size | like | named("GPTNeoX", "gpt_neox") | parallel | ropes


def bloom(file: File) -> Values:
    size = sizes(file)
    file.meta.only("attention.head_count_kv", size["num_attention_heads"])
    file.meta.only("feed_forward_length", 4 * size["hidden_size"])
    return named("Bloom", "bloom") | {
        "hidden_size": size["hidden_size"],
        "n_layer": size["num_hidden_layers"],
        "n_head": size["num_attention_heads"],
        "seq_length": size["max_position_embeddings"],
        "vocab_size": size["vocab_size"],
        "tie_word_embeddings": size["tie_word_embeddings"],
        "layer_norm_epsilon": file.meta.number(LAYER_NORM),
    }


def falcon(file: File) -> Values:
    """The small one has one key/value head and one norm, the large ones two norms; RW's ALiBi cannot be said."""
    size, meta, several = sizes(file), file.meta, file.has("blk.0.attn_norm_2.weight")
    meta.only("tensor_data_layout", "jploski")
    size["ffn_hidden_size"] = size.pop("intermediate_size")
    heads = {"num_kv_heads": meta.integer("attention.head_count_kv", 1), "multi_query": not several, "new_decoder_architecture": several}
    theta = {"rope_theta": rope(file, size["hidden_size"] // size["num_attention_heads"])["rope_theta"]}
    return size | named("Falcon", "falcon") | heads | theta | {"layer_norm_epsilon": meta.number(LAYER_NORM)}


def mpt(file: File) -> Values:
    meta, size = file.meta, sizes(file)
    meta.only("attention.head_count_kv", size["num_attention_heads"])
    bias = meta.number("attention.max_alibi_bias", 0.0)
    attention = {"alibi": bias > 0, "alibi_bias_max": bias, "clip_qkv": meta.optional_number("attention.clamp_kqv")}
    return named("Mpt", "mpt") | {
        "d_model": size["hidden_size"],
        "n_layers": size["num_hidden_layers"],
        "n_heads": size["num_attention_heads"],
        "expansion_ratio": size["intermediate_size"] // size["hidden_size"],
        "max_seq_len": size["max_position_embeddings"],
        "vocab_size": size["vocab_size"],
        "tie_word_embeddings": size["tie_word_embeddings"],
        "layer_norm_epsilon": meta.number(LAYER_NORM),
        "attn_config": attention,
    }
