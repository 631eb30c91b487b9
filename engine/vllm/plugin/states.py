"""States beside pages: one of vLLM's state layers for each of our layers, with all that it keeps, and the recurrences on them.

What vLLM's own state-space layers compute is bound to their weights' names, so the arithmetic is ours (engine/recurrence). vLLM decides
which block holds whose state, and copies blocks for its prefix cache."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.forward_context import get_forward_context
from vllm.model_executor.layers.mamba.abstract import MambaBase
from vllm.v1.attention.backends.linear_attn import LinearAttentionMetadata
from vllm.v1.attention.backends.registry import MambaAttentionBackendEnum

from engine.recurrence.slot_states import SlotStates
from models.batch import Batch, DeltaRows, LinearRows, Slots
from models.ops import wide
from models.spec import Layer, Slot, caches


class States(nn.Module, MambaBase):
    """The pages in which vLLM keeps one layer's states."""

    def __init__(self, name: str, layer: Layer, config: VllmConfig) -> None:
        super().__init__()
        self.name, self.slots, self.dtype = name, slots_of(layer), config.model_config.dtype
        config.compilation_config.static_forward_context[name] = self
        self.kv_cache = tuple(torch.empty(0) for _ in self.slots)

    def get_state_shape(self) -> tuple[tuple[int, ...], ...]:
        return tuple(slot.shape for slot in self.slots)

    def get_state_dtype(self) -> tuple[torch.dtype, ...]:
        return dtypes(self.slots, self.dtype)

    @property
    def mamba_type(self) -> MambaAttentionBackendEnum:
        return MambaAttentionBackendEnum.LINEAR

    @property
    def is_kv_cache_tp_replicated(self) -> bool:
        return True


def slots_of(layer: Layer) -> tuple[Slot, ...]:
    return tuple(cache for cache in caches(layer) if isinstance(cache, Slot))


def dtypes(slots: Sequence[Slot], model: torch.dtype) -> tuple[torch.dtype, ...]:
    return tuple(torch.promote_types(model, torch.float32) if slot.wide else model for slot in slots)


class StateOf:
    """Implements models.batch.Recurrence: one of a layer's states. Each call is one operation that no compiler looks into."""

    def __init__(self, layer: str, number: int) -> None:
        self._layer, self._number = layer, number

    def convolve(self, x_TC: Tensor, weight_CW: Tensor, bias_C: Tensor | None, batch: Batch) -> Tensor:
        return self._run("convolve", torch.empty_like(x_TC), [x_TC], [weight_CW] if bias_C is None else [weight_CW, bias_C])

    def scan(self, x_TI: Tensor, step_TI: Tensor, a_IN: Tensor, b_TN: Tensor, c_TN: Tensor, batch: Batch) -> Tensor:
        return self._run("scan", torch.empty_like(wide(x_TI)), [x_TI, step_TI, b_TN, c_TN], [a_IN])

    def recur(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self._run("recur", torch.empty_like(wide(rows.v_THV)), _listed(rows), [])

    def replace(self, rows: LinearRows, batch: Batch) -> Tensor:
        return self._run("replace", torch.empty_like(wide(rows.v_THV)), _listed(rows), [])

    def delta(self, rows: DeltaRows, batch: Batch) -> Tensor:
        tensors = [rows.q_THK, rows.k_THK, rows.v_THV, rows.decay_THK, rows.a_THK, rows.b_THK]
        return self._run("delta", torch.empty_like(wide(rows.v_THV)), tensors, [])

    def diagonal(self, x_TC: Tensor, poles_CN: Tensor, residues_CN: Tensor, batch: Batch) -> Tensor:
        return self._run("diagonal", torch.empty_like(wide(x_TC)), [x_TC], [poles_CN, residues_CN])

    def _run(self, method: str, y: Tensor, rows: list[Tensor], parameters: list[Tensor]) -> Tensor:
        torch.ops.stoa.recurrence(y, rows, parameters, self._layer, self._number, method)
        return y


def _listed(rows: LinearRows) -> list[Tensor]:
    share = [] if rows.share_TH is None else [rows.share_TH]
    return [rows.q_TGK, rows.k_TGK, rows.v_THV, rows.decay_TH, *share]


Compute = Callable[[SlotStates, Sequence[Tensor], Sequence[Tensor], Batch], Tensor]
METHODS: dict[str, Compute] = {
    "convolve": lambda states, rows, given, batch: states.convolve(rows[0], given[0], given[1] if len(given) > 1 else None, batch),
    "scan": lambda states, rows, given, batch: states.scan(rows[0], rows[1], given[0], rows[2], rows[3], batch),
    "recur": lambda states, rows, given, batch: states.recur(LinearRows(*rows), batch),
    "replace": lambda states, rows, given, batch: states.replace(LinearRows(*rows), batch),
    "delta": lambda states, rows, given, batch: states.delta(DeltaRows(*rows), batch),
    "diagonal": lambda states, rows, given, batch: states.diagonal(rows[0], given[0], given[1], batch),
}


@torch.library.custom_op("stoa::recurrence", mutates_args=("y",))
def recurrence(y: Tensor, rows: list[Tensor], parameters: list[Tensor], layer: str, number: int, method: str) -> None:
    """y becomes what `method` makes of the rows and the layer's state. Rows behind the last sequence's are padding."""
    y.zero_()
    context = get_forward_context()
    if context.attn_metadata is None:  # while vLLM measures memory
        return
    m = cast(LinearAttentionMetadata, cast(dict[str, Any], context.attn_metadata)[layer])
    states = SlotStates(cast(States, context.no_compile_layers[layer]).kv_cache[number])
    starts_S1, sequences = m.query_start_loc, m.num_decodes + m.num_prefills
    for first, last in ((0, m.num_decodes), (m.num_decodes, sequences)):
        if first < last:
            _part(states, m, slice(first, last), starts_S1, y, rows, parameters, METHODS[method])


@recurrence.register_fake
def _(y: Tensor, rows: list[Tensor], parameters: list[Tensor], layer: str, number: int, method: str) -> None:
    return None


def _part(
    states: SlotStates,
    m: LinearAttentionMetadata,
    which: slice,
    starts_S1: Tensor,
    y: Tensor,
    rows: list[Tensor],
    parameters: list[Tensor],
    compute: Compute,
) -> None:
    """For the sequences `which`: those with one token each, which vLLM puts first, or the others."""
    starts_S1 = starts_S1[which.start : which.stop + 1]
    block_S = m.state_indices_tensor[which].long()
    cached_S = m.seq_lens[which] - starts_S1.diff()
    states.states[block_S[cached_S == 0]] = 0  # a new sequence's block holds another's state
    span = slice(int(starts_S1[0]), int(starts_S1[-1]))
    starts_S1 = starts_S1 - span.start
    batch = Batch(starts_S1, starts_S1, cached_S, slots=Slots(block_S, block_S))
    y[span] = compute(states, [t[span] for t in rows], parameters, batch).to(y.dtype)
