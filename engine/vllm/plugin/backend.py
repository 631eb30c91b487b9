"""What a model asks for, as vLLM's own layers: tensor parallelism, quantisation, LoRA and the pages come from there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn
from vllm.config import VllmConfig
from vllm.distributed import get_pp_group, get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.distributed.utils import get_pp_indices

from engine.vllm.plugin import attention
from engine.vllm.plugin import linear as layers
from engine.vllm.plugin.experts import Experts
from engine.vllm.plugin.inexpressible import Inexpressible
from engine.vllm.plugin.states import StateOf, States
from models.batch import Attend, Convolve, Cross, HeadUse, Latent, LocalGlobal, Lsh, Recurrence, Split
from models.ops import Ops
from models.reference import HeadMatrices
from models.spec import Arch, Attention, CrossAttention, LatentAttention, LocalGlobalAttention, LongConv, LshAttention, MoE, Slot, mixers


@dataclass(frozen=True)
class Place:
    """Which process this is."""

    rank: int  # of tensor parallelism, one of `ways`
    ways: int
    layers: range  # of this pipeline stage
    first: bool  # stage of the pipeline
    last: bool

    @staticmethod
    def here(layers: int) -> "Place":
        stages = get_pp_group()
        start, end = get_pp_indices(layers, stages.rank_in_group, stages.world_size)
        rank, ways = get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size()
        return Place(rank, ways, range(start, end), stages.is_first_rank, stages.is_last_rank)


class VllmBackend:
    """Implements models.batch.Backend. `arch` is the whole model's; modules are built for `shard(arch, place.ways)`.
    `stored`: what a checkpoint calls a leaf, by which its quantisation names what it leaves out."""

    def __init__(self, config: VllmConfig, arch: Arch, place: Place, stored: Callable[[str], str]) -> None:
        self.ops, self.dtype = Ops(), config.model_config.dtype
        self._config, self._arch, self._place, self._stored = config, arch, place, stored
        self._states: dict[int, tuple[States, list[int]]] = {}  # of a layer, and which of its slots were asked for

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        if name != "embed":
            return layers.Table(vocab, dim) if self._place.first else layers.Absent()
        if self._place.first or (self._place.last and self._arch.tied):
            return layers.vocabulary(self._stored(name), vocab, dim, self._config.quant_config)
        return layers.Absent()

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: Split = "column") -> nn.Module:
        if not self._has(name):
            return layers.Absent()
        if name == "head":
            return layers.head(layers.Matrices(self._stored(name), d_in, tuple(d_outs), bias, self._config.quant_config))
        split = split if self._is_cut(name) else "whole"
        ways = self._place.ways
        inputs = d_in * ways if split == "row" else d_in
        outputs = tuple(size * ways for size in d_outs) if split == "column" else tuple(d_outs)
        matrices = layers.Matrices(self._stored(name), inputs, outputs, bias, self._config.quant_config)
        match split:
            case "row":
                return layers.rows(matrices)
            case "whole":
                return layers.whole(matrices)
            case "column":
                return self._columns(name, matrices)

    def _columns(self, name: str, m: layers.Matrices) -> nn.Module:
        if not name.endswith(".qkv"):
            return layers.columns(m)
        spec = self._mixer(name)
        if not isinstance(spec, Attention):
            raise Inexpressible(name, f"{type(spec).__name__}")
        h, g, k = spec.heads, spec.kv_heads, spec.head_dim
        return layers.heads(layers.Matrices(m.prefix, m.d_in, (h * k, g * k, g * k), m.bias, m.quant), spec)

    def attend(self, name: str, spec: Attention) -> Attend:
        if not self._has(name):
            return _absent
        whole = self._mixer(name) if self._is_cut(name) else spec
        assert isinstance(whole, Attention)
        return attention.Attend(name, spec, attention.slopes_of(whole, self._place.rank, self._place.ways), self._config)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int, use: HeadUse) -> nn.Module:
        if not self._has(name):
            return layers.Absent()
        if isinstance(self._mixer(name), LatentAttention):
            return attention.HeadMatrices((heads, d_out, d_in), self._place.rank, self._place.ways)
        return HeadMatrices(heads, d_in, d_out, self._config.model_config.dtype)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        return attention.Latent(name, spec, self._place.ways, self._config) if self._has(name) else _absent

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return Experts(self._stored(name), spec, dim, self._config) if self._has(name) else layers.Absent()

    def recurrence(self, name: str, slot: Slot) -> Recurrence:
        number = _number(name)
        if number is None or not self._has(name):
            return cast(Recurrence, _absent)
        if number not in self._states:
            self._states[number] = States(f"layers.{number}.states", self._arch.layers[number], self._config), []
        states, taken = self._states[number]
        taken.append(next(i for i, other in enumerate(states.slots) if other == slot and i not in taken))
        return StateOf(states.name, taken[-1])

    def cross(self, name: str, spec: CrossAttention) -> Cross:
        raise Inexpressible(name, "layer for attention to an encoder's rows that our parts could use")

    def local_global(self, name: str, spec: LocalGlobalAttention) -> LocalGlobal:
        raise Inexpressible(name, "local and global attention")

    def lsh(self, name: str, spec: LshAttention) -> Lsh:
        raise Inexpressible(name, "attention by buckets")

    def convolve(self, name: str, spec: LongConv) -> Convolve:
        raise Inexpressible(name, "long convolutions")

    def _has(self, name: str) -> bool:
        """This stage has the leaf."""
        layer = _number(name)
        return self._place.last if layer is None and name in ("head", "narrow") else layer is None or layer in self._place.layers

    def _is_cut(self, name: str) -> bool:
        """The leaf's part is one of those that `shard` cuts."""
        if _number(name) is None:
            return False
        return ".ffn" in name or (".block" not in name and isinstance(self._mixer(name), Attention | LatentAttention))

    def _mixer(self, name: str) -> object:
        """The whole model's, of a leaf's layer."""
        found, which = mixers(self._arch.layers[_number(name) or 0]), re.search(r"\.mixer\.(\d+)\.?", name)
        return found[int(which[1]) if which else 0]


def _number(name: str) -> int | None:
    found = re.match(r"layers\.(\d+)\.", name)
    return None if found is None else int(found[1])


def _absent(*_: object) -> object:
    raise ValueError("this layer belongs to another pipeline stage")
