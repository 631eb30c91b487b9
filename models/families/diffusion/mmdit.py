"""What the two families of MMDiT have in common: where diffusers keeps the matrices of a layer with two streams."""

from models.recipes import Recipes, both, cat


def two_streams(ours: str, theirs: str) -> Recipes:
    """`ours`: of one layer, as "layers.3."; `theirs`: as "transformer_blocks.3."."""
    attn, c, x = f"{theirs}attn.", f"{ours}c.", f"{ours}x."
    return {
        **both(f"{ours}x_modulation", f"{theirs}norm1.linear"),
        **both(f"{ours}c_modulation", f"{theirs}norm1_context.linear"),
        **{f"{x}qkv.{field}": cat(*(f"{attn}to_{p}.{field}" for p in "qkv")) for field in ("weight", "bias")},
        **{f"{c}qkv.{field}": cat(*(f"{attn}add_{p}_proj.{field}" for p in "qkv")) for field in ("weight", "bias")},
        **both(f"{x}out", f"{attn}to_out.0"),
        **both(f"{c}out", f"{attn}to_add_out"),
        **_norms(x, attn, "norm_"),
        **_norms(c, attn, "norm_added_"),
        **both(f"{ours}x_ffn.up", f"{theirs}ff.net.0.proj"),
        **both(f"{ours}x_ffn.down", f"{theirs}ff.net.2"),
        **both(f"{ours}c_ffn.up", f"{theirs}ff_context.net.0.proj"),
        **both(f"{ours}c_ffn.down", f"{theirs}ff_context.net.2"),
        **{f"{ours}again.qkv.{field}": cat(*(f"{theirs}attn2.to_{p}.{field}" for p in "qkv")) for field in ("weight", "bias")},
        **both(f"{ours}again.out", f"{theirs}attn2.to_out.0"),
        **_norms(f"{ours}again.", f"{theirs}attn2.", "norm_"),
    }


def one_stream(ours: str, theirs: str) -> Recipes:
    return {
        **both(f"{ours}modulation", f"{theirs}norm.linear"),
        **{f"{ours}both.qkv.{field}": cat(*(f"{theirs}attn.to_{p}.{field}" for p in "qkv")) for field in ("weight", "bias")},
        **_norms(f"{ours}both.", f"{theirs}attn.", "norm_"),
        **both(f"{ours}up", f"{theirs}proj_mlp"),
        **both(f"{ours}out", f"{theirs}proj_out"),
    }


def _norms(ours: str, theirs: str, name: str) -> Recipes:
    norms = {f"{ours}{p}_norm": f"{theirs}{name}{p}" for p in "qk"}
    return {key: recipe for mine, other in norms.items() for key, recipe in both(mine, other).items()}
