"""Llama 3.2 Vision (after arXiv 2407.21783, section 7): layers between those of Llama look at an image's tiles, behind gates, as Flamingo's
do (arXiv 2204.14198). The gates are one number each, with which the matrices behind them are multiplied when they are read."""

from typing import Any

from models.families.dense import llama
from models.families.multimodal import inner
from models.families.vision.common import patches
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, First, Gated, PatchMatrix, Recipe, Recipes, Rows, both, cat
from models.spec import MLP, Arch, Attention, CrossAttention, CrossVision, Dense, Hubs, Layer, Norm, QKNorm, TiledTower

READ_ONLY = 8  # tokens, of which the mark of an image is one

_TEXT: dict[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "max_position_embeddings": 131_072,
    "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
}
_VISION: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_global_layers": 8,
    "attention_heads": 16,
    "hidden_act": "gelu",
    "image_size": 448,
    "patch_size": 14,
    "norm_eps": 1e-5,
    "max_num_tiles": 4,
    "intermediate_layers_indices": [3, 7, 15, 23, 30],
}


def text(config: Config) -> tuple[str, Config]:
    part = inner("MllamaForConditionalGeneration", config)
    part.assume(**_TEXT)
    part.ignore("dropout")
    return "MllamaForCausalLM", part


def arch(config: Config) -> Arch:
    """Of the text model: it cannot be without its vision."""
    crossing = set(config.integers("cross_attention_layers") or ())
    plain = llama.decoder(config)
    config.only("hidden_act", "silu")
    if bad := [i for i in crossing if not 0 <= i < len(plain.layers)]:
        raise ConfigError(f"{config.where}: cross_attention_layers has {bad[0]}, but there are {len(plain.layers)} layers")
    layers = (_crossing(layer) if i in crossing else layer for i, layer in enumerate(plain.layers))
    return Arch(**{**vars(plain), "layers": tuple(layers), "read_only": READ_ONLY})


def _crossing(layer: Layer) -> Layer:
    if not isinstance(layer.mixer, Attention):
        raise TypeError("a layer of Llama has attention")
    norm, of = QKNorm(norm=layer.norm), layer.mixer
    cross = CrossAttention(heads=of.heads, kv_heads=of.kv_heads, head_dim=of.head_dim, qk_norm=norm)
    return Layer(mixer=None, cross=cross, ffn=layer.ffn, norm=layer.norm)


def vision(config: Config, text: Arch) -> CrossVision:
    part = config.part("vision_config")
    if part is None:
        raise ConfigError(f"{config.where}: vision_config is missing")
    part.assume(**_VISION)
    part.ignore("model_type", "vision_output_dim")
    tower = _tower(part)
    return CrossVision(tower=tower, connector=Dense(width=text.dim), marker=config.integer("image_token_index", 128_256))


def _tower(config: Config) -> TiledTower:
    dim, heads, read = config.integer("hidden_size"), config.integer("attention_heads"), patches(config, class_token=True, bias=False)
    if read.rows % 8 == 0:
        raise ConfigError(f"{config.where}: image_size and patch_size make {read.rows} rows: a multiple of 8 is not supported")
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=Hubs())
    ffn = MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act"), gated=False, bias=True)
    layer = Layer(mixer=mixer, ffn=ffn, norm=Norm(kind="layer", eps=config.number("norm_eps")))
    around = Norm(kind="layer", eps=1e-5)
    return TiledTower(
        dim=dim,
        input=read,
        arrangements=_arrangements(config),
        embed_norm=around,
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=around,
        last_layers=(layer,) * config.integer("num_global_layers"),
        taken=config.integers("intermediate_layers_indices") or (),
    )


def _arrangements(config: Config) -> tuple[tuple[int, int], ...]:
    """Lines and columns, in the order that the image processor numbers them."""
    most, said = config.integer("max_num_tiles"), config.anything("supported_aspect_ratios")
    known = tuple((a, b) for a in range(1, most + 1) for b in range(1, most + 1) if a * b <= most)
    if said is not None and tuple(map(tuple, said)) != known:
        raise ConfigError(
            f"{config.where}: supported_aspect_ratios = {said} is not supported: of {most} tiles they must be {list(map(list, known))}"
        )
    return known


_L, _O = "model.layers.{i}.", "layers.{i}."


def _behind(gate: str, theirs: str) -> Recipe:
    """Of a layer that looks at images behind its gate, of others as it is."""
    return First((Gated(Copy(_L + theirs), Copy(_L + gate)), Copy(_L + theirs)))


WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    f"{_O}norm_cross.weight": Copy(f"{_L}input_layernorm.weight"),
    f"{_O}cross.q.weight": Copy(f"{_L}cross_attn.q_proj.weight"),
    f"{_O}cross.kv.weight": cat(f"{_L}cross_attn.k_proj.weight", f"{_L}cross_attn.v_proj.weight"),
    f"{_O}cross.q_norm.weight": Copy(f"{_L}cross_attn.q_norm.weight"),
    f"{_O}cross.k_norm.weight": Copy(f"{_L}cross_attn.k_norm.weight"),
    f"{_O}cross.out.weight": Gated(Copy(f"{_L}cross_attn.o_proj.weight"), Copy(f"{_L}cross_attn_attn_gate")),
    f"{_O}ffn.down.weight": _behind("cross_attn_mlp_gate", "mlp.down_proj.weight"),
}


def _block(ours: str, theirs: str) -> Recipes:
    return {
        **both(f"{ours}norm1", f"{theirs}input_layernorm"),
        f"{ours}mixer.qkv.weight": cat(*(f"{theirs}self_attn.{p}_proj.weight" for p in "qkv")),
        f"{ours}mixer.out.weight": Copy(f"{theirs}self_attn.o_proj.weight"),
        **both(f"{ours}norm2", f"{theirs}post_attention_layernorm"),
        **both(f"{ours}ffn.up", f"{theirs}mlp.fc1"),
        **both(f"{ours}ffn.down", f"{theirs}mlp.fc2"),
    }


def _gated_block(ours: str, theirs: str) -> Recipes:
    attention, ffn = Copy(f"{theirs}gate_attn"), Copy(f"{theirs}gate_ffn")
    return {
        **_block(ours, theirs),
        f"{ours}mixer.out.weight": Gated(Copy(f"{theirs}self_attn.o_proj.weight"), attention),
        **both(f"{ours}ffn.down", f"{theirs}mlp.fc2", lambda recipe: Gated(recipe, ffn)),
    }


def _of_arrangements(theirs: str, gate: str) -> Recipe:
    """The first row stands for no image."""
    return Gated(Rows(Copy(f"{theirs}.weight"), 1), Copy(gate))


_V, _P = "vision.tower.", "vision.gated_positional_embedding."
VISION: Recipes = {
    f"{_V}patches.weight": PatchMatrix(Copy("vision.patch_embedding.weight")),
    f"{_V}class_token": Copy("vision.class_embedding"),
    f"{_V}places": Gated(Copy(f"{_P}embedding"), Copy(f"{_P}gate"), rest=True),
    f"{_V}tile_places": _of_arrangements(f"{_P}tile_embedding", f"{_P}gate"),
    f"{_V}of_patches": _of_arrangements("vision.pre_tile_positional_embedding.embedding", "vision.pre_tile_positional_embedding.gate"),
    f"{_V}of_tiles": _of_arrangements("vision.post_tile_positional_embedding.embedding", "vision.post_tile_positional_embedding.gate"),
    **both(f"{_V}embed_norm", "vision.layernorm_pre"),
    **both(f"{_V}norm", "vision.layernorm_post"),
    **_block(f"{_V}layers.{{i}}.", "vision.transformer.layers.{i}."),
    **_gated_block(f"{_V}last_layers.{{i}}.", "vision.global_transformer.layers.{i}."),
    **both("vision.connector.linear", "projector"),
}

TINY: dict[str, Any] = {
    "architectures": ["MllamaForConditionalGeneration"],
    "model_type": "mllama",
    "image_token_index": 256,
    "text_config": {
        "model_type": "mllama_text_model",
        "vocab_size": 256,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "cross_attention_layers": [1, 3],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "vision_config": {
        "model_type": "mllama_vision_model",
        "hidden_size": 48,
        "intermediate_size": 56,
        "num_hidden_layers": 3,
        "num_global_layers": 2,
        "attention_heads": 3,
        "image_size": 12,
        "patch_size": 4,
        "intermediate_layers_indices": [0, 2],
        "vision_output_dim": 144,
    },
}
