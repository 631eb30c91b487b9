"""Recipes carried out."""

from dataclasses import replace

import torch

from models.prefixes import sources
from models.quant import Matrix, Stack, Weight, WeightsError, dense
from models.recipes import (
    Alias,
    Bare,
    ByKeyHeads,
    Cat,
    Copy,
    First,
    Flatten,
    Gated,
    HalfRows,
    HeadRows,
    NegExp,
    NoBias,
    PatchMatrix,
    PerExpert,
    Permute,
    Portion,
    Recipe,
    Rows,
    ScaleBy,
    ScaleRows,
    Shift,
    Still,
    SwapHalves,
    Taps,
    Transpose,
    Ungroup,
    Unzip,
)
from models.weights.matrices import (
    bare,
    by_use,
    channels_first,
    concatenated,
    reordered,
    reordered_heads,
    reordered_inputs,
    scaled,
    transposed,
    unzipped,
)
from models.weights.orders import by_key_heads, by_role, halved, halves
from models.weights.source import Source


def resolve(recipe: Recipe, source: Source) -> Weight:
    match recipe:
        case Copy(name):
            return source.read(name)
        case First(parts):
            return resolve(next((part for part in parts if source.has(next(sources(part)))), parts[0]), source)
        case Alias(parts):
            return source.any_of([part.source for part in parts])
        case Flatten(part):
            return dense(resolve(part, source)).flatten(0, 1)
        case Cat(parts):
            return concatenated([resolve(part, source) for part in parts], -1 if source.target.endswith("bias") else -2)
        case PerExpert(part):
            return _per_expert(part, source)
        case Shift(part, by):
            return dense(resolve(part, source)) + by
        case ScaleRows(part, runs):
            return scaled(resolve(part, source), torch.cat([torch.full((rows,), factor) for rows, factor in runs]))
        case ScaleBy(part, by):
            return scaled(resolve(part, source), dense(resolve(by, source)).float())
        case Gated(part, gate, rest):
            value, share = resolve(part, source), dense(resolve(gate, source)).float().tanh()
            return scaled(value, (1 - share if rest else share).expand(value.shape[0]))
        case NegExp(part):
            return -dense(resolve(part, source)).float().exp()
        case Rows(part, start):
            return dense(resolve(part, source))[start:]
        case Portion(part, start, stop, of):
            value = dense(resolve(part, source))
            return value[len(value) * start // of : len(value) * stop // of]
        case Bare(part):
            return bare(dense(resolve(part, source)))
        case PatchMatrix(part, "first"):
            return dense(resolve(part, source)).flatten(1)
        case PatchMatrix(part):
            return channels_first(dense(resolve(part, source)), source.patches.channels)
        case Still(part):
            return dense(resolve(part, source)).float().sum(2)
        case Transpose(part):
            return transposed(resolve(part, source))
        case NoBias(part):
            return torch.zeros(resolve(part, source).shape[0])
        case Taps(part):
            return dense(resolve(part, source)).mT.flatten(1)
        case SwapHalves(part):
            return torch.cat(dense(resolve(part, source)).chunk(2)[::-1])
        case Unzip(part):
            return unzipped(resolve(part, source), -1 if source.target.endswith("bias") else -2)
        case Permute(part):
            part, order = resolve(part, source), halves(source)
            return reordered_heads(part, order) if source.target.endswith("norm.weight") else reordered(part, order)
        case Ungroup(part):
            return reordered(resolve(part, source), by_role(source))
        case HalfRows(part, of):
            return reordered(resolve(part, source), halved(source.attention, of))
        case ByKeyHeads(part, along):
            value, order = resolve(part, source), by_key_heads(source)
            return reordered(value, order) if along == "rows" else reordered_inputs(value, order, source.linear.value_dim)
        case HeadRows(part, of):
            keys, values = by_use(dense(resolve(part, source)), source.latent)
            return keys if of == "keys" else values


def _per_expert(part: Recipe, source: Source) -> Stack:
    def of(expert: int) -> Matrix:
        value = resolve(part, replace(source, expert=expert))
        return value.dequantize() if isinstance(value, Stack) else value

    def like_the_first(expert: int) -> Matrix:
        value = of(expert)
        if tuple(value.shape) != shape:
            raise WeightsError(f"{source.target}: expert {expert} has shape {list(value.shape)}, but the first has {list(shape)}")
        return value

    count, shape = source.experts, tuple(of(0).shape)
    return Stack((count, *shape), like_the_first)
