"""Counts of attention to an encoder's rows."""

from models.spec import Arch, CrossAttention, Layer, crossed_rows


def parameters(layer: Layer, encoder_dim: int, dim: int) -> int:
    """All but the norm's."""
    if (cross := layer.cross) is None:
        return 0
    biases = (cross.heads + 2 * cross.kv_heads) * cross.head_dim * cross.bias + dim * cross.out_bias
    norms = 2 * cross.head_dim if cross.qk_norm else 0
    return matrices(cross, dim) + 2 * cross.kv_heads * cross.head_dim * encoder_dim + biases + norms


def matrices(cross: CrossAttention, dim: int) -> int:
    """Numbers that one token is multiplied with: keys and values are made once for an input."""
    return 2 * dim * cross.heads * cross.head_dim


def operations(arch: Arch, tokens: int) -> int:
    """Multiply-adds of one token with matrices and with what an input of as many tokens, or as many as may be, has left behind."""
    read, found = min(tokens, crossed_rows(arch)[1]), [layer.cross for layer in arch.layers if layer.cross]
    return sum(matrices(cross, arch.dim) + 2 * cross.heads * cross.head_dim * read for cross in found)
