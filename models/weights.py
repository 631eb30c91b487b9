"""From checkpoint to module: for each of our tensors a recipe says which of the checkpoint's tensors make it.

A family's table maps our names to recipes, with `{i}` for the layer's number:
    "layers.{i}.mixer.qkv.weight": cat("model.layers.{i}.self_attn.q_proj.weight", ...)
All that a checkpoint does differently (other layout, other order, a constant left out) ends here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models.batch import Leaf
from models.quant import Grouped, Weight, concatenate
from models.spec import Arch, Attention


class WeightsError(ValueError):
    """The checkpoint does not hold what the architecture needs, or holds more."""


@dataclass(frozen=True)
class Copy:
    source: str  # a tensor of the checkpoint


@dataclass(frozen=True)
class Cat:
    """Along the first axis (outputs)."""

    parts: tuple["Recipe", ...]


@dataclass(frozen=True)
class Stack:
    """Along a new first axis (experts)."""

    parts: tuple["Recipe", ...]


@dataclass(frozen=True)
class Shift:
    """Add a constant: norms that store weight - 1."""

    part: "Recipe"
    by: float


@dataclass(frozen=True)
class Rows:
    """Those from number `start` on: tables whose first rows are never read."""

    part: "Recipe"
    start: int


@dataclass(frozen=True)
class Transpose:
    """[I, O] -> [O, I]"""

    part: "Recipe"


@dataclass(frozen=True)
class Permute:
    """Rows of each head from rotary pairs side by side (2j, 2j + 1), as llama GGUF files have them, to halves
    (j, j + K/2)."""

    part: "Recipe"


Recipe = Copy | Cat | Stack | Shift | Rows | Transpose | Permute
Recipes = Mapping[str, Recipe]
Checkpoint = Mapping[str, Weight]  # read lazily: one tensor at each lookup


def cat(*sources: str) -> Cat:
    return Cat(tuple(map(Copy, sources)))


def load(model: nn.Module, arch: Arch, recipes: Recipes, checkpoint: Checkpoint) -> None:
    """Fill every tensor of `model`, one at a time. Raises WeightsError when one is missing or has the wrong shape,
    and when the checkpoint holds a tensor that no module asked for."""
    names, used = set(checkpoint), set[str]()  # a Mapping's own `in` would read the tensor
    for target, shape, assign in _targets(model):
        recipe, layer = _recipe(recipes, target)
        value = _resolve(recipe, _Source(checkpoint, names, used, layer, arch, target))
        if tuple(value.shape) != shape:
            raise WeightsError(f"{target} must have shape {list(shape)}, but the checkpoint's has {list(value.shape)}")
        assign(value)
    _refuse_leftovers(arch, recipes, checkpoint, names - used)


Target = tuple[str, tuple[int, ...], Callable[[Weight], None]]


def _targets(model: nn.Module) -> Iterator[Target]:
    """Name, shape and setter of every tensor that must be filled, in the order of the modules."""
    for name, module in model.named_modules():
        if hasattr(module, "assign"):
            yield from _leaf_targets(name, cast(Leaf, module))
        else:
            for field, parameter in module.named_parameters(recurse=False):
                yield f"{name}.{field}", tuple(parameter.shape), _copier(parameter)


def _leaf_targets(name: str, leaf: Leaf) -> Iterator[Target]:
    for field, shape in leaf.fields.items():
        yield f"{name}.{field}", shape, lambda value, field=field: leaf.assign(field, value)


def _copier(parameter: nn.Parameter) -> Callable[[Weight], None]:
    def assign(value: Weight) -> None:
        parameter.data.copy_(_dense(value))

    return assign


def _recipe(recipes: Recipes, target: str) -> tuple[Recipe, int | None]:
    """The recipe for one of our tensors, and the number of its layer."""
    match = re.match(r"layers\.(\d+)\.", target)
    template = target if match is None else "layers.{i}." + target[match.end() :]
    if template not in recipes:
        raise WeightsError(f"the family has no recipe for {template}")
    return recipes[template], None if match is None else int(match[1])


@dataclass(frozen=True)
class _Source:
    """The checkpoint as one of our tensors (`target`) sees it. Notes in `used` what was read."""

    checkpoint: Checkpoint
    names: set[str]
    used: set[str]
    layer: int | None
    arch: Arch
    target: str

    def read(self, template: str) -> Weight:
        name = template.format(i=self.layer)
        if name not in self.names:
            raise WeightsError(f"the checkpoint has no tensor {name}, which {self.target} is made from")
        self.used.add(name)
        return self.checkpoint[name]

    @property
    def head_dim(self) -> int:
        match self.arch.layers[self.layer or 0].mixer:
            case Attention(head_dim=k):
                return k
            case other:
                raise WeightsError(f"{self.target}: {type(other).__name__} has no heads to permute")


def _resolve(recipe: Recipe, source: _Source) -> Weight:
    match recipe:
        case Copy(name):
            return source.read(name)
        case Cat(parts):
            return _concatenate([_resolve(part, source) for part in parts])
        case Stack(parts):
            return torch.stack([_dense(_resolve(part, source)) for part in parts])
        case Shift(part, by):
            return _dense(_resolve(part, source)) + by
        case Rows(part, start):
            return _dense(_resolve(part, source))[start:]
        case Transpose(part):
            return _dense(_resolve(part, source)).T
        case Permute(part):
            return _halves(_resolve(part, source), source.head_dim)


def _concatenate(parts: list[Weight]) -> Weight:
    """Quantized if all parts are; their values never change."""
    grouped = [part for part in parts if isinstance(part, Grouped)]
    if len(grouped) == len(parts):
        return concatenate(grouped)
    return torch.cat([_dense(part) for part in parts])


def _halves(weight: Weight, head_dim: int) -> Weight:
    rows = torch.arange(weight.shape[0]).view(-1, head_dim // 2, 2).transpose(1, 2).flatten()
    return weight.rows(rows) if isinstance(weight, Grouped) else weight[rows]


def _dense(weight: Weight) -> Tensor:
    return weight.dequantize() if isinstance(weight, Grouped) else weight


# rotary tables are computed (models/gguf.py reads rope_freqs into the configuration), never loaded
_COMPUTED = re.compile(r"(.*\.)?rotary_emb\.inv_freq|rope_freqs\.weight")


def _refuse_leftovers(arch: Arch, recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> None:
    left = {name for name in left if not _COMPUTED.fullmatch(name)}
    if arch.tied:
        left -= _tied_copy(recipes, checkpoint, left)
    if left:
        shown = ", ".join(sorted(left)[:5])
        raise WeightsError(f"the checkpoint has {len(left)} tensors that this architecture does not use: {shown}")


def _tied_copy(recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> set[str]:
    """The name of an output matrix that a tied checkpoint stores although it is the embedding."""
    head, embed = recipes["head.weight"], recipes["embed.weight"]
    if not (isinstance(head, Copy) and isinstance(embed, Copy) and head.source in left):
        return set()
    if not torch.equal(_dense(checkpoint[head.source]), _dense(checkpoint[embed.source])):
        raise WeightsError(f"tie_word_embeddings is true, but {head.source} differs from {embed.source}")
    return {head.source}
