"""Qwen2-VL (arXiv 2409.12191): images keep their size, patches know where they lie by a rotary position of two coordinates, and so do
their rows among the text's tokens, by one of three."""

from typing import Any

from models.families.multimodal import inner
from models.hf import Config, activation
from models.recipes import Copy, PatchMatrix, Recipes, Still, both
from models.spec import MLP, Arch, Attention, Dense, Full, Layer, Merge, Norm, Patches, Repeated, Rope, Tower, Vision

CONTEXT = 16384  # patches of the largest image: the files say elsewhere how many pixels it may have
_VISION: dict[str, Any] = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_act": "quick_gelu",
    "mlp_ratio": 4,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
}


def text(config: Config) -> tuple[str, Config]:
    return "Qwen2ForCausalLM", text_part("Qwen2VLForConditionalGeneration", config)


def text_part(architecture: str, config: Config) -> Config:
    """Older files have it beside `vision_config`, not in a part of its own."""
    part = inner(architecture, config) if "text_config" in config.values else config
    part.assume(max_position_embeddings=32_768)
    return part


def vision(config: Config, text: Arch) -> Vision:
    part = vision_part(config)
    part.assume(**_VISION)
    dim, heads = part.integer("embed_dim"), part.integer("num_heads")
    part.ignore("hidden_size")  # of the text model
    act, norm = activation(part, "hidden_act"), Norm(kind="layer", eps=1e-6)
    ffn = MLP(hidden=int(dim * part.number("mlp_ratio")), activation=act, gated=False, bias=True)
    layer = Layer(mixer=mixer(dim, heads), ffn=ffn, norm=norm)
    tower = Tower(dim=dim, layers=(layer,) * part.integer("depth"), norm=None, input=read(part, bias=False), context=CONTEXT)
    return Vision(tower=tower, connector=(norm, *merger(part, dim, text)), marker=marker(config), any_size=True)


def vision_part(config: Config) -> Config:
    config.ignore("video_token_id", "vision_start_token_id", "vision_end_token_id", "vision_token_id")  # text around an image, and videos
    part = config.part("vision_config") or Config({}, f"{config.where}: vision_config")
    part.ignore("spatial_patch_size", "tokens_per_second", "rope_parameters", "out_hidden_size", "initializer_range", "tie_word_embeddings")
    part.only("temporal_patch_size", 2)
    return part


def marker(config: Config) -> int:
    return config.integer("image_token_id", 151_655)


def read(config: Config, *, bias: bool) -> Patches:
    channels = config.integer("in_channels", config.integer("in_chans", 3))
    return Patches(size=config.integer("patch_size"), channels=channels, bias=bias)


def mixer(dim: int, heads: int, mask: Any = Full()) -> Attention:  # noqa: B008, a frozen value
    position = Rope(dim=dim // heads, axes=Repeated())
    return Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=mask, position=position, bias=True, out_bias=True)


def merger(config: Config, dim: int, text: Arch) -> tuple[Merge | Dense, ...]:
    side = config.integer("spatial_merge_size")
    return Merge(side=side), Dense(width=dim * side * side, activation="gelu"), Dense(width=text.dim)


_O, _T = "vision.tower.layers.{i}.", "vision.blocks.{i}."

BLOCKS: Recipes = {
    "vision.tower.embed.patches.weight": PatchMatrix(Still(Copy("vision.patch_embed.proj.weight"))),
    **both(f"{_O}norm1", f"{_T}norm1"),
    **both(f"{_O}mixer.qkv", f"{_T}attn.qkv"),
    **both(f"{_O}mixer.out", f"{_T}attn.proj"),
    **both(f"{_O}norm2", f"{_T}norm2"),
}
VISION: Recipes = {
    **BLOCKS,
    **both(f"{_O}ffn.up", f"{_T}mlp.fc1"),
    **both(f"{_O}ffn.down", f"{_T}mlp.fc2"),
    **both("vision.connector.steps.0", "vision.merger.ln_q"),
    **both("vision.connector.steps.2.linear", "vision.merger.mlp.0"),
    **both("vision.connector.steps.3.linear", "vision.merger.mlp.2"),
}

_TEXT: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [2, 3, 3]},
}
TINY: dict[str, Any] = {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "model_type": "qwen2_vl",
    "image_token_id": 250,
    "video_token_id": 251,
    "vision_start_token_id": 248,
    "vision_end_token_id": 249,
    "text_config": _TEXT,
    "vision_config": {"depth": 3, "embed_dim": 48, "hidden_size": 64, "num_heads": 3, "mlp_ratio": 2, "patch_size": 4},
}
