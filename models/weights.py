"""From checkpoint to module: every tensor of a model is made by its recipe (models/recipes.py) from the checkpoint's."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from models.batch import Leaf
from models.prefixes import canonical, sources
from models.quant import Grouped, Matrix, Stack, Weight, WeightsError, concatenate, dense
from models.recipes import (
    Alias,
    ByKeyHeads,
    Cat,
    Copy,
    First,
    Flatten,
    HalfRows,
    HeadRows,
    NegExp,
    PerExpert,
    Permute,
    Recipe,
    Recipes,
    Rows,
    ScaleRows,
    Shift,
    Taps,
    Transpose,
    Ungroup,
    Unzip,
)
from models.spec import Arch, Attention, LatentAttention, LinearAttention, MoE, Rope, Single, mixers

Checkpoint = Mapping[str, Weight]  # read lazily: one tensor at each lookup


def load(model: nn.Module, arch: Arch, recipes: Recipes, checkpoint: Checkpoint) -> None:
    """Fill every tensor of `model`, one at a time. Raises WeightsError when one is missing or has the wrong shape,
    and when the checkpoint holds a tensor that no module asked for."""
    checkpoint = canonical(recipes, checkpoint)
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
    """Name, shape and setter of every tensor that must be filled, in the order of the modules. One that several have in
    common is the first one's."""
    seen = set[nn.Parameter]()
    for name, module in model.named_modules():
        if hasattr(module, "assign"):
            yield from _leaf_targets(name, cast(Leaf, module))
        else:
            for field, parameter in module.named_parameters(recurse=False):
                if parameter not in seen:
                    yield f"{name}.{field}", tuple(parameter.shape), _copier(parameter)
                seen.add(parameter)


def _leaf_targets(name: str, leaf: Leaf) -> Iterator[Target]:
    for field, shape in leaf.fields.items():
        yield f"{name}.{field}", shape, lambda value, field=field: leaf.assign(field, value)


def _copier(parameter: nn.Parameter) -> Callable[[Weight], None]:
    def assign(value: Weight) -> None:
        parameter.data.copy_(dense(value))

    return assign


def _recipe(recipes: Recipes, target: str) -> tuple[Recipe, int | None]:
    """The recipe for one of our tensors, and the number of its layer. A layer may have one that is not the others'."""
    match = re.match(r"layers\.(\d+)\.", target)
    template = target if match is None or target in recipes else "layers.{i}." + target[match.end() :]
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
    expert: int | None = None

    def read(self, template: str) -> Weight:
        name = template.format(i=self.layer, e=self.expert)
        if name not in self.names:
            raise WeightsError(f"the checkpoint has no tensor {name}, which {self.target} is made from")
        self.used.add(name)
        return self.checkpoint[name]

    def any_of(self, templates: Sequence[str]) -> Weight:
        """The first that is there."""
        here = [template for template in templates if self.has(template)] or templates
        value = self.read(here[0])
        self.used.update(template.format(i=self.layer, e=self.expert) for template in here)
        return value

    def has(self, template: str) -> bool:
        return template.format(i=self.layer, e=self.expert) in self.names

    @property
    def experts(self) -> int:
        match self.arch.layers[self.layer or 0].ffn:
            case MoE(experts=e):
                return e
            case other:
                raise WeightsError(f"{self.target}: {type(other).__name__} has no experts")

    @property
    def mixer(self) -> Single:
        """That of the layer, or of the block that it shares, or the one of several whose number stands in the tensor's name."""
        layer = self.arch.layers[self.layer or 0]
        if layer.block is not None and ".block." in self.target:
            return layer.block.attention
        found, number = mixers(layer), re.search(r"\.mixer\.(\d+)\.", self.target)
        if not found:
            raise WeightsError(f"{self.target}: the layer has no mixer")
        return found[int(number[1]) if number else 0]

    @property
    def attention(self) -> Attention:
        if not isinstance(self.mixer, Attention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no queries, keys and values in one matrix")
        return self.mixer

    @property
    def linear(self) -> LinearAttention:
        if not isinstance(self.mixer, LinearAttention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no value heads of key heads")
        return self.mixer

    @property
    def latent(self) -> LatentAttention:
        if not isinstance(self.mixer, LatentAttention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no latents")
        return self.mixer


def _resolve(recipe: Recipe, source: _Source) -> Weight:
    match recipe:
        case Copy(name):
            return source.read(name)
        case First(parts):
            return _resolve(next((part for part in parts if source.has(next(sources(part)))), parts[0]), source)
        case Alias(parts):
            return source.any_of([part.source for part in parts])
        case Flatten(part):
            return dense(_resolve(part, source)).flatten(0, 1)
        case Cat(parts):
            return _concatenate([_resolve(part, source) for part in parts], -1 if source.target.endswith("bias") else -2)
        case PerExpert(part):
            return _per_expert(part, source)
        case Shift(part, by):
            return dense(_resolve(part, source)) + by
        case ScaleRows(part, runs):
            return _scaled(_resolve(part, source), torch.cat([torch.full((rows,), factor) for rows, factor in runs]))
        case NegExp(part):
            return -dense(_resolve(part, source)).float().exp()
        case Rows(part, start):
            return dense(_resolve(part, source))[start:]
        case Transpose(part):
            return _transposed(_resolve(part, source))
        case Taps(part):
            return dense(_resolve(part, source)).mT.flatten(1)
        case Unzip(part):
            return _unzipped(_resolve(part, source), -1 if source.target.endswith("bias") else -2)
        case Permute(part):
            part, order = _resolve(part, source), _halves(source)
            return _reordered_heads(part, order) if source.target.endswith("norm.weight") else _reordered(part, order)
        case Ungroup(part):
            return _reordered(_resolve(part, source), _by_role(source))
        case HalfRows(part, of):
            return _reordered(_resolve(part, source), _halved(source.attention, of))
        case ByKeyHeads(part, along):
            value, order = _resolve(part, source), _by_key_heads(source)
            return _reordered(value, order) if along == "rows" else _reordered_inputs(value, order, source.linear.value_dim)
        case HeadRows(part, of):
            keys, values = _by_use(dense(_resolve(part, source)), source.latent)
            return keys if of == "keys" else values


def _scaled(weight: Weight, factor_O: Tensor) -> Weight:
    if isinstance(weight, Grouped):
        scale_OG, low_OG = (t.float() * factor_O[:, None] for t in (weight.scale_OG, weight.low_OG))
        return replace(weight, scale_OG=scale_OG, low_OG=low_OG)
    value = dense(weight)
    return (value.float() * factor_O.view(-1, *[1] * (value.dim() - 1))).to(value.dtype)


def _per_expert(part: Recipe, source: _Source) -> Stack:
    def of(expert: int) -> Matrix:
        value = _resolve(part, replace(source, expert=expert))
        return value.dequantize() if isinstance(value, Stack) else value

    def like_the_first(expert: int) -> Matrix:
        value = of(expert)
        if tuple(value.shape) != shape:
            raise WeightsError(f"{source.target}: expert {expert} has shape {list(value.shape)}, but the first has {list(shape)}")
        return value

    count, shape = source.experts, tuple(of(0).shape)
    return Stack((count, *shape), like_the_first)


def _concatenate(parts: list[Weight], axis: int) -> Weight:
    """Along the outputs."""
    stacks = [part for part in parts if isinstance(part, Stack)]
    if len(stacks) < len(parts):
        return _joined([part.dequantize() if isinstance(part, Stack) else part for part in parts], axis)
    count, *shape = stacks[0].shape
    shape[axis] = sum(stack.shape[axis] for stack in stacks)
    return Stack((count, *shape), lambda e: _joined([stack.of(e) for stack in stacks], axis))


def _joined(parts: list[Matrix], axis: int) -> Matrix:
    """Quantized if all parts are; their values never change."""
    grouped = [part for part in parts if isinstance(part, Grouped)]
    if len(grouped) == len(parts):
        return concatenate(grouped)
    tensors = [dense(part) for part in parts]
    return torch.cat(tensors, max(axis, -tensors[0].dim()))


def _transposed(weight: Weight) -> Weight:
    if not isinstance(weight, Stack):
        return dense(weight).mT
    *first, outputs, inputs = weight.shape
    return weight.flipped or Stack((*first, inputs, outputs), lambda e: dense(weight.of(e)).mT)


def _unzipped(weight: Weight, axis: int) -> Weight:
    match weight:
        case Stack(shape=shape, of=of):
            return Stack(shape, lambda e: _unzip(of(e), axis))
        case matrix:
            return _unzip(matrix, axis)


def _unzip(weight: Matrix, axis: int) -> Matrix:
    if isinstance(weight, Grouped):
        return weight.rows(torch.arange(weight.shape[0]).view(-1, 2).T.flatten())
    return weight.unflatten(axis, (-1, 2)).transpose(axis - 1, axis).flatten(axis - 1, axis)


def _halves(source: _Source) -> Callable[[Tensor], Tensor]:
    """Row numbers in their new order: the rotated ones of each head, or those behind a latent."""
    match source.mixer:
        case Attention(head_dim=k, position=rope):
            return _paired_rows(k, 0, rope.dim if isinstance(rope, Rope) else k)
        case LatentAttention(kv_rank=r, nope_dim=n, rope_dim=p):
            first = r if ".kv_down." in source.target else n
            return _paired_rows(first + p, first, first + p)
        case other:
            raise WeightsError(f"{source.target}: {type(other).__name__} has no rotated rows")


def _paired_rows(block: int, first: int, end: int) -> Callable[[Tensor], Tensor]:
    """In each `block` of rows those from `first` to `end` go from pairs to halves."""

    def order(rows: Tensor) -> Tensor:
        rows_NB = rows.view(-1, block)
        halves_NR = rows_NB[:, first:end].unflatten(1, (-1, 2)).transpose(1, 2).flatten(1)
        return torch.cat([rows_NB[:, :first], halves_NR, rows_NB[:, end:]], 1).flatten()

    return order


def _by_use(weight: Tensor, spec: LatentAttention) -> tuple[Tensor, Tensor]:
    return weight.unflatten(0, (spec.heads, -1)).split((spec.nope_dim, spec.value_dim), 1)  # pyright: ignore[reportReturnType]


def _by_role(source: _Source) -> Callable[[Tensor], Tensor]:
    def order(rows: Tensor) -> Tensor:
        heads, sizes = _roles(source, len(rows))
        return torch.cat([part.flatten() for part in rows.view(heads, -1).split(sizes, 1)])

    return order


def _roles(source: _Source, rows: int) -> tuple[int, tuple[int, ...]]:
    """Heads by which `rows` rows lie, and how many of a head's have each role."""
    if isinstance(source.mixer, LinearAttention):
        m, share = source.mixer, source.mixer.heads // source.mixer.key_heads
        values = share * m.value_dim
        return m.key_heads, (share, share) if rows == 2 * m.heads else (m.key_dim, m.key_dim, values, values)
    m = source.attention
    return m.kv_heads, (m.heads // m.kv_heads * m.head_dim, m.head_dim, m.head_dim)


def _halved(spec: Attention, of: str) -> Callable[[Tensor], Tensor]:
    return lambda rows: rows.view(spec.heads, 2, spec.head_dim)[:, int(of == "gates")].flatten()


def _by_key_heads(source: _Source) -> Callable[[Tensor], Tensor]:
    m = source.linear
    others, values = 2 * m.key_heads * m.key_dim, m.heads * m.value_dim

    def order(rows: Tensor) -> Tensor:
        first = others if len(rows) == others + values else 0
        return torch.cat([rows[:first], rows[first:].view(m.heads // m.key_heads, m.key_heads, -1).transpose(0, 1).flatten()])

    return order


def _reordered_inputs(weight: Weight, order: Callable[[Tensor], Tensor], block: int) -> Weight:
    """`block`: so many stay behind one another."""
    inputs = order(torch.arange(weight.shape[1]))
    return weight.inputs(inputs) if isinstance(weight, Grouped) and block % weight.size == 0 else dense(weight)[:, inputs]


def _reordered(weight: Weight, order: Callable[[Tensor], Tensor]) -> Weight:
    rows = order(torch.arange(weight.shape[0]))
    return weight.rows(rows) if isinstance(weight, Grouped) else dense(weight)[rows]


def _reordered_heads(weight: Weight, order: Callable[[Tensor], Tensor]) -> Tensor:
    """The same of the weight of a norm on heads, [K] or [H, K]."""
    value = dense(weight)
    return value.flatten()[order(torch.arange(value.numel()))].view(value.shape)


# rotary tables and causal masks are computed (models/gguf/metadata.py reads rope_freqs into the configuration), never loaded; what
# predicts further tokens in training (mtp), and RWKV's first layer's mix with its own values, are not read
_UNREAD = re.compile(
    r"(.*\.)?rotary_emb\.inv_freq|rope_(freqs|factors_long|factors_short)\.weight|(.*\.)?(attn|attention)\.(masked_)?bias"
    r"|(.*\.)?self_attention\.(self_)?mask_value_float(16|32)|mtp\..*|blocks\.0\.att\.v[012]"
)


def _refuse_leftovers(arch: Arch, recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> None:
    left = {name for name in left if not _UNREAD.fullmatch(name)} - _further(arch, left)
    if arch.tied:
        left -= _tied_copy(recipes, checkpoint, left)
    if left:
        shown = ", ".join(sorted(left)[:5])
        raise WeightsError(f"the checkpoint has {len(left)} tensors that this architecture does not use: {shown}")


def _further(arch: Arch, left: set[str]) -> set[str]:
    """GGUF's mtp: layers behind the last one that have what only those have."""
    numbers = {int(match[1]) for name in left if (match := re.fullmatch(r"blk\.(\d+)\.nextn\..*", name))}
    return {name for name in left if name.startswith(tuple(f"blk.{n}." for n in numbers if n >= len(arch.layers)))}


def _tied_copy(recipes: Recipes, checkpoint: Checkpoint, left: set[str]) -> set[str]:
    """The name of an output matrix that a tied checkpoint stores although it is the embedding."""
    head, embed = recipes["head.weight"], recipes["embed.weight"]
    if not (isinstance(head, Copy) and isinstance(embed, Copy) and head.source in left):
        return set()
    if not torch.equal(dense(checkpoint[head.source]), dense(checkpoint[embed.source])):
        raise WeightsError(f"tie_word_embeddings is true, but {head.source} differs from {embed.source}")
    return {head.source}
