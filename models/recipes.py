"""Recipes: which of a checkpoint's tensors make one of ours, and what must be done to them. A family's table maps our names
to recipes, with `{i}` for the layer's number and `{e}` for an expert's:
    "layers.{i}.mixer.qkv.weight": cat("model.layers.{i}.self_attn.q_proj.weight", ...)
All that a checkpoint does differently (other layout, other order, a constant left out) is said here, and done by
models/weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Copy:
    source: str  # a tensor of the checkpoint


@dataclass(frozen=True)
class First:
    """The first whose tensors the checkpoint has: one tensor under several names, or in several forms."""

    parts: tuple["Recipe", ...]


@dataclass(frozen=True)
class Alias:
    """The first that the checkpoint has, of names that may all be there for the same: the others are not read."""

    parts: tuple[Copy, ...]


@dataclass(frozen=True)
class Flatten:
    """Its first two axes as one."""

    part: "Recipe"


@dataclass(frozen=True)
class Cat:
    """Along the first axis (outputs)."""

    parts: tuple["Recipe", ...]


@dataclass(frozen=True)
class PerExpert:
    """Along a new first axis, one for each expert, whose number stands for `{e}` in the names."""

    part: "Recipe"


@dataclass(frozen=True)
class Shift:
    """Add a constant: norms that store weight - 1."""

    part: "Recipe"
    by: float


@dataclass(frozen=True)
class ScaleRows:
    """Rows times a factor, so many in a row alike: what some families multiply behind a matrix, or before it."""

    part: "Recipe"
    runs: tuple[tuple[int, float], ...]  # how many rows, and their factor


@dataclass(frozen=True)
class ScaleBy:
    """Rows times as many numbers of another tensor: what some families multiply behind a matrix, and have learned (LayerScale)."""

    part: "Recipe"
    by: Copy


@dataclass(frozen=True)
class Gated:
    """Times the hyperbolic tangent of another tensor's one number, or of it that `rest` of 1: gates that were learned (Flamingo, arXiv
    2204.14198)."""

    part: "Recipe"
    gate: Copy
    rest: bool = False


@dataclass(frozen=True)
class NegExp:
    """-exp of it: decays that are stored as logarithms."""

    part: "Recipe"


@dataclass(frozen=True)
class Rows:
    """Those from number `start` on: tables whose first rows are never read."""

    part: "Recipe"
    start: int


@dataclass(frozen=True)
class Portion:
    """Rows from `start` to `stop`, counted in `of` equal parts: one of several matrices that are stored as one."""

    part: "Recipe"
    start: int
    stop: int
    of: int


@dataclass(frozen=True)
class Bare:
    """Without its first axes, as far as they have a length of 1."""

    part: "Recipe"


@dataclass(frozen=True)
class PatchMatrix:
    """[D, ...] -> [D, I]: a convolution over patches as one matrix. Its numbers lie by channels, then lines, then columns; `channels`: or
    those of a pixel behind one another."""

    part: "Recipe"
    channels: Literal["first", "last"] = "first"


@dataclass(frozen=True)
class Still:
    """[D, C, T, P, P] -> [D, C, P, P]: a convolution over T frames as one over an image that all of them are."""

    part: "Recipe"


@dataclass(frozen=True)
class Transpose:
    """[I, O] -> [O, I], also of each expert's."""

    part: "Recipe"


@dataclass(frozen=True)
class Unzip:
    """Gate and up rows from one beside the other to one behind the other: along the axis before the last, of a bias
    along the last."""

    part: "Recipe"


@dataclass(frozen=True)
class Permute:
    """The rotated rows of each head from pairs side by side (2j, 2j + 1), as llama GGUF files have them, to halves
    (j, j + R/2)."""

    part: "Recipe"


@dataclass(frozen=True)
class Ungroup:
    """Rows of q, k and v from lying by key/value heads, each with its queries, its key and its value, to all queries,
    all keys, all values; of linear attention by key heads, each with its query, its key, its values and their gates, or each with the
    parts that its values replace and their decays."""

    part: "Recipe"


@dataclass(frozen=True)
class HalfRows:
    """Of each head's rows, queries and then their gates, the one half or the other."""

    part: "Recipe"
    of: Literal["queries", "gates"]


@dataclass(frozen=True)
class ByKeyHeads:
    """Value heads of linear attention, from lying so that key heads take turns to all of one key head behind one another: of rows
    those behind queries and keys, or inputs."""

    part: "Recipe"
    along: Literal["rows", "inputs"] = "rows"


@dataclass(frozen=True)
class HeadRows:
    """[H, O, I]: of each head's rows, keys and then values of latent attention, the one or the other."""

    part: "Recipe"
    of: Literal["keys", "values"]


@dataclass(frozen=True)
class Taps:
    """[O, I, N] -> [O, N * I]: a convolution over N tokens as one matrix over their rows side by side."""

    part: "Recipe"


@dataclass(frozen=True)
class SwapHalves:
    """The second half of its rows, then the first: gates that a checkpoint has behind what they multiply."""

    part: "Recipe"


@dataclass(frozen=True)
class NoBias:
    """Zeros, as many as it has rows: the bias of a matrix that has none beside others that have one."""

    part: "Recipe"


Recipe = (
    Copy
    | First
    | Alias
    | Flatten
    | Cat
    | PerExpert
    | Shift
    | ScaleRows
    | ScaleBy
    | Gated
    | NegExp
    | NoBias
    | Taps
    | SwapHalves
    | Rows
    | Portion
    | Bare
    | PatchMatrix
    | Still
    | Transpose
    | Unzip
    | Permute
    | Ungroup
    | HalfRows
    | ByKeyHeads
    | HeadRows
)
Recipes = Mapping[str, Recipe]


def cat(*sources: str) -> Cat:
    return Cat(tuple(map(Copy, sources)))


def both(ours: str, theirs: str, change: Callable[[Recipe], Recipe] = lambda recipe: recipe) -> dict[str, Recipe]:
    """Weight and bias of a part, each changed alike."""
    return {f"{ours}.{field}": change(Copy(f"{theirs}.{field}")) for field in ("weight", "bias")}
