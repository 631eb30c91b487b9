"""Of an encoder that reads images."""

from collections.abc import Iterator

from models.spec.arch import Arch
from models.spec.check.problem import Problem, positive
from models.spec.outputs import Probe, Writes


def sight(arch: Arch) -> Iterator[Problem]:
    if not isinstance(arch.output, Writes) and isinstance(arch.output.pooling, Probe) and arch.dim % arch.output.pooling.heads:
        yield ".output.pooling.heads", f"= {arch.output.pooling.heads} must divide dim = {arch.dim}"
    if arch.before and arch.patches is None:
        yield ".before", "must be empty where no images are read"
    if arch.patches is None:
        return
    for i, stage in enumerate(arch.before):
        yield from positive(stage, f".before[{i}]", "dim")
    if arch.before and (arch.patches.class_token or arch.patches.grid is not None):
        yield ".patches", "must have neither a class token nor a grid where there are stages: rows are merged by their places"
    yield from positive(arch.patches, ".patches", "size", "channels")
    if arch.patches.grid is not None:
        yield from positive(arch.patches.grid, ".patches.grid", "rows", "columns")
    if isinstance(arch.output, Writes):
        yield ".patches", "must be null: a decoder reads tokens"
    rows = arch.context if arch.patches.grid is None else arch.patches.grid.count + arch.patches.class_token
    if arch.context < rows:
        yield ".context", f"= {arch.context} must be {rows} at least: the rows of an image"
    for name in ("vocab", "segments", "position", "global_tokens", "ngrams"):
        if getattr(arch, name):
            yield f".{name}", "must be left out where there are patches: it is said of tokens"
