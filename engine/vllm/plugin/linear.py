"""vLLM's linear layers and embeddings as leaves (models.batch.Leaf): each takes the whole matrix of the checkpoint and keeps what its
tensor-parallel process computes, in the form that vLLM's quantisation wants."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    LinearBase,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
    UnquantizedLinearMethod,
)
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding

from models.quant import Weight, dense
from models.spec import Attention


@dataclass(frozen=True)
class Matrices:
    """Several matrices that read the same input, as whole as the checkpoint has them: `d_outs` rows of `d_in` numbers."""

    prefix: str
    d_in: int
    d_outs: tuple[int, ...]
    bias: bool
    quant: QuantizationConfig | None

    @property
    def options(self) -> dict[str, Any]:
        return {"bias": self.bias, "quant_config": self.quant, "prefix": self.prefix, "return_bias": False}


def columns(m: Matrices) -> nn.Module:
    """Outputs cut, each matrix by itself."""
    if len(m.d_outs) == 1:
        return _leaf(ColumnParallelLinear(m.d_in, m.d_outs[0], **m.options), m)
    return _leaf(MergedColumnParallelLinear(m.d_in, list(m.d_outs), **m.options), m)


def heads(m: Matrices, spec: Attention) -> nn.Module:
    """Of queries, keys and values, cut by heads."""
    return _leaf(QKVParallelLinear(m.d_in, spec.head_dim, spec.heads, spec.kv_heads, **m.options), m)


def rows(m: Matrices) -> nn.Module:
    """Inputs cut, outputs summed."""
    return _leaf(RowParallelLinear(m.d_in, sum(m.d_outs), **m.options), m)


def whole(m: Matrices) -> nn.Module:
    return _leaf(ReplicatedLinear(m.d_in, sum(m.d_outs), **m.options), m)


def _leaf(layer: LinearBase, m: Matrices) -> nn.Module:
    """The layer itself, as LoRA replaces it by its class, with what a `Leaf` has besides."""
    fields = {} if is_packed(layer) else {"weight": (sum(m.d_outs), m.d_in)}
    return _as_leaf(layer, fields | ({"bias": (sum(m.d_outs),)} if m.bias else {}))


def is_packed(layer: nn.Module) -> bool:
    """The layer's matrix is quantised: engine/vllm/plugin/packed.py fills it."""
    return isinstance(layer, LinearBase) and not isinstance(layer.quant_method, UnquantizedLinearMethod)


def _as_leaf(layer: nn.Module, fields: dict[str, tuple[int, ...]]) -> nn.Module:
    layer.fields, layer.assign = fields, partial(_assign, layer)  # pyright: ignore[reportAttributeAccessIssue]
    return layer


def _assign(layer: nn.Module, field: str, value: Weight) -> None:
    parameter = layer.get_parameter(field)
    parameter.weight_loader(parameter, dense(value).to(parameter.dtype))  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]


def vocabulary(prefix: str, vocab: int, dim: int, quant: QuantizationConfig | None) -> nn.Module:
    """The embedding of tokens, cut by rows."""
    return _as_leaf(VocabParallelEmbedding(vocab, dim, quant_config=quant, prefix=prefix), {"weight": (vocab, dim)})


def head(m: Matrices) -> nn.Module:
    """What makes logits; its `forward` is never called (engine.vllm.plugin.model)."""
    (vocab,) = m.d_outs
    fields = {"weight": (vocab, m.d_in)} | ({"bias": (vocab,)} if m.bias else {})
    return _as_leaf(ParallelLMHead(vocab, m.d_in, bias=m.bias, quant_config=m.quant, prefix=m.prefix), fields)


class Table(nn.Module):
    """Rows for positions: small, and whole in every process."""

    weight: Tensor

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.fields = {"weight": (count, dim)}
        self.register_buffer("weight", torch.empty(count, dim))

    def assign(self, field: str, value: Weight) -> None:
        self.get_buffer(field).copy_(dense(value))

    def forward(self, index_T: Tensor) -> Tensor:
        return nn.functional.embedding(index_T, self.weight)


class Absent(nn.Module):
    """A leaf of a layer that another pipeline stage has. Takes no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, tuple[int, ...]] = {}

    def assign(self, field: str, value: Weight) -> None:
        raise ValueError(f"{field}: this layer belongs to another pipeline stage")
