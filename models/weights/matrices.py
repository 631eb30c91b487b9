"""Matrices and stacks of them changed as a whole: quantized ones stay it where the change moves or scales whole rows."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from models.quant import Grouped, Matrix, Stack, Weight, concatenate, dense
from models.spec import LatentAttention


def scaled(weight: Weight, factor_O: Tensor) -> Weight:
    if isinstance(weight, Grouped):
        scale_OG, low_OG = (t.float() * factor_O[:, None] for t in (weight.scale_OG, weight.low_OG))
        return replace(weight, scale_OG=scale_OG, low_OG=low_OG)
    value = dense(weight)
    return (value.float() * factor_O.view(-1, *[1] * (value.dim() - 1))).to(value.dtype)


def concatenated(parts: list[Weight], axis: int) -> Weight:
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


def transposed(weight: Weight) -> Weight:
    if not isinstance(weight, Stack):
        return dense(weight).mT
    *first, outputs, inputs = weight.shape
    return weight.flipped or Stack((*first, inputs, outputs), lambda e: dense(weight.of(e)).mT)


def unzipped(weight: Weight, axis: int) -> Weight:
    match weight:
        case Stack(shape=shape, of=of):
            return Stack(shape, lambda e: _unzip(of(e), axis))
        case matrix:
            return _unzip(matrix, axis)


def _unzip(weight: Matrix, axis: int) -> Matrix:
    if isinstance(weight, Grouped):
        return weight.rows(torch.arange(weight.shape[0]).view(-1, 2).T.flatten())
    return weight.unflatten(axis, (-1, 2)).transpose(axis - 1, axis).flatten(axis - 1, axis)


def by_use(weight: Tensor, spec: LatentAttention) -> tuple[Tensor, Tensor]:
    return weight.unflatten(0, (spec.heads, -1)).split((spec.nope_dim, spec.value_dim), 1)  # pyright: ignore[reportReturnType]


def reordered_inputs(weight: Weight, order: Callable[[Tensor], Tensor], block: int) -> Weight:
    """`block`: so many stay behind one another."""
    inputs = order(torch.arange(weight.shape[1]))
    return weight.inputs(inputs) if isinstance(weight, Grouped) and block % weight.size == 0 else dense(weight)[:, inputs]


def reordered(weight: Weight, order: Callable[[Tensor], Tensor]) -> Weight:
    rows = order(torch.arange(weight.shape[0]))
    return weight.rows(rows) if isinstance(weight, Grouped) else dense(weight)[rows]


def reordered_heads(weight: Weight, order: Callable[[Tensor], Tensor]) -> Tensor:
    """The same of the weight of a norm on heads, [K] or [H, K]."""
    value = dense(weight)
    return value.flatten()[order(torch.arange(value.numel()))].view(value.shape)


def bare(value: Tensor) -> Tensor:
    return bare(value[0]) if value.shape[0] == 1 and value.dim() > 1 else value


def channels_first(weight: Tensor, channels: int) -> Tensor:
    """[D, ..., C] -> [D, I]"""
    return weight.flatten(1).unflatten(1, (-1, channels)).transpose(1, 2).flatten(1)
