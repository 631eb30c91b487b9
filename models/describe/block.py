"""Counts of the blocks that layers share."""

from models.spec import SharedBlock


def own(block: SharedBlock, dim: int) -> int:
    """Numbers of the matrices that each use has for itself."""
    a, up = block.attention, block.ffn.hidden * (2 if block.ffn.gated else 1)
    of_attention = 3 * 2 * dim + (a.heads + 2 * a.kv_heads) * a.head_dim if block.adapts_attention else 0
    return dim * dim + block.rank * (dim + up + of_attention)


def second_half(block: SharedBlock, dim: int) -> int:
    """Numbers of attention's matrices that the embedding's rows are multiplied with."""
    a = block.attention
    gates = {None: 0, "head": a.heads, "channel": a.heads * a.head_dim}[a.gate]
    return dim * ((a.heads + 2 * a.kv_heads) * a.head_dim + gates)
