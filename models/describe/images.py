"""Counts of what makes an image's rows, and of what looks at them in the end."""

from models.spec import Patches, Pooling, Probe


def embedding(spec: Patches | None, dim: int) -> int:
    """Parameters."""
    if spec is None:
        return 0
    places = 0 if spec.grid is None else spec.class_token + spec.grid.count
    return dim * (spec.numbers + spec.bias + spec.class_token + places)


def operations(spec: Patches | None, dim: int) -> int:
    """Multiply-adds for one row."""
    return 0 if spec is None else spec.numbers * dim


def pooling(spec: tuple[Pooling, ...] | Probe, dim: int) -> int:
    """Parameters."""
    if not isinstance(spec, Probe):
        return 0
    hidden = spec.ffn.hidden * (2 if spec.ffn.gated else 1)
    ffn = dim * (hidden + spec.ffn.hidden) + (hidden + dim) * spec.ffn.bias
    return dim + 4 * dim * (dim + 1) + ffn + (2 * dim if spec.norm.kind == "layer" else dim)
