"""Tensors of a checkpoint that nobody asked for: some are known to be of no use, any other is an error."""

import re

import torch

from models.prefixes import sources
from models.quant import WeightsError, dense
from models.recipes import Recipes
from models.spec import Arch, Sinusoidal, Vision
from models.weights.source import Checkpoint

# rotary tables and causal masks are computed (models/gguf/metadata.py reads rope_freqs into the configuration), never loaded; what
# predicts further tokens in training (mtp), and RWKV's first layer's mix with its own values, are not read; a T5 that looks at its encoder
# has no positions there, though some files do
_UNREAD = re.compile(
    r"(.*\.)?rotary_emb\.inv_freq|rope_(freqs|factors_long|factors_short)\.weight|(.*\.)?(attn|attention)\.(masked_)?bias"
    r"|(.*\.)?self_attention\.(self_)?mask_value_float(16|32)|mtp\..*|blocks\.0\.att\.v[012]"
    r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight|(model\.)?(encoder|decoder)\.version"
    r"|pos_embed\.pos_embed|(text_model\.)?embeddings\.position_ids"
)


def refuse_leftovers(arch: Arch | None, recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> None:
    left = {name for name in left if not _UNREAD.fullmatch(name)}
    if arch is not None:
        left -= _further(arch, left) | _computed(arch, left) | _unseen(arch, left)
        left -= _tied_copy(recipes, checkpoint, left) if arch.tied else set[str]()
    if left:
        shown = ", ".join(sorted(left)[:5])
        raise WeightsError(f"the checkpoint has {len(left)} tensors that this architecture does not use: {shown}")


def _further(arch: Arch, left: set[str]) -> set[str]:
    """GGUF's mtp: layers behind the last one that have what only those have."""
    numbers = {int(match[1]) for name in left if (match := re.fullmatch(r"blk\.(\d+)\.nextn\..*", name))}
    return {name for name in left if name.startswith(tuple(f"blk.{n}." for n in numbers if n >= len(arch.layers)))}


def _unseen(arch: Arch, left: set[str]) -> set[str]:
    """Of a tower that is read before its end: what stands behind that, and what pools an image's rows."""
    if not isinstance(arch.vision, Vision):
        return set()
    behind, pooling = (
        re.compile(r"vision\.encoder\.layers?\.(\d+)\..*"),
        re.compile(r"vision\.((post_layernorm|head)\..*|embeddings\.position_ids)"),
    )
    layers = len(arch.vision.tower.layers)
    return {name for name in left if pooling.fullmatch(name) or ((match := behind.fullmatch(name)) and int(match[1]) >= layers)}


def _computed(arch: Arch, left: set[str]) -> set[str]:
    """Tables of sines that a checkpoint stores although everybody can compute them."""
    tables = re.compile(r"(model\.)?(encoder|decoder)\.embed_positions\.weights?")
    return {name for name in left if isinstance(arch.position, Sinusoidal) and tables.fullmatch(name)}


def _tied_copy(recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> set[str]:
    """The name of an output matrix that a tied checkpoint stores although it is the embedding."""
    heads = left.intersection(sources(recipes["head.weight"]))
    if not heads:
        return set()
    names, head = set(checkpoint), min(heads)
    embed = next((source for source in sources(recipes["embed.weight"]) if source in names), None)
    if embed is None or not torch.equal(dense(checkpoint[head]), dense(checkpoint[embed])):
        raise WeightsError(f"tie_word_embeddings is true, but {head} differs from {embed}")
    return {head}
