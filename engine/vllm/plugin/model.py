"""The classes that vLLM builds: one for each kind of memory, all of them the same decoder over vLLM's layers."""

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from vllm.compilation.decorators import support_torch_compile
from vllm.config import VllmConfig
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.mamba.mamba_utils import MambaStateCopyFunc, get_temporal_copy_spec
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.models.interfaces import SupportsLoRA, SupportsPP, SupportsQuant
from vllm.model_executor.models.utils import PPMissingLayer
from vllm.sequence import IntermediateTensors

from engine.vllm.plugin import config, lora
from engine.vllm.plugin.backend import Place, VllmBackend
from engine.vllm.plugin.load import load
from engine.vllm.plugin.packed import packed_modules, stored_names
from engine.vllm.plugin.shard import shard
from engine.vllm.plugin.states import dtypes, slots_of
from models.batch import Batch
from models.build import build
from models.families import arch_of, recipes_of
from models.families.multimodal import parts
from models.recipes import Recipes
from models.spec import Arch, Next, Rope, Slot, long_ropes, rope_start


@support_torch_compile
class Trunk(nn.Module):
    """Token ids or their rows in, rows after the last norm out, or what goes on to the next pipeline stage."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "", arch: Arch, recipes: Recipes, place: Place) -> None:
        super().__init__()
        if vllm_config.quant_config is not None:
            vllm_config.quant_config.packed_modules_mapping.update(packed_modules(recipes))
        backend = VllmBackend(vllm_config, arch, place, stored_names(recipes))
        self.place, self.context = place, vllm_config.model_config.max_model_len
        self.decoder = build(shard(arch, place.ways), backend, context=self.context)
        for i in set(range(len(arch.layers))) - set(place.layers):
            self.decoder.layers[i] = PPMissingLayer()
        # where angles depend on a sequence's length, all have those of the longest, as in vLLM's own models
        self.starts: dict[Rope, int] = {rope: rope_start(rope, self.context, self.context) for rope in long_ropes(arch)}

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor | IntermediateTensors:
        batch = self._batch(positions)
        if intermediate_tensors is not None and not self.place.first:
            x_TD, embedded = intermediate_tensors["hidden_states"], intermediate_tensors.tensors.get("embedded")
        else:
            rows_TE = inputs_embeds if inputs_embeds is not None else self.decoder.rows(cast(Tensor, input_ids))
            x_TD = embedded = self.decoder.begin(rows_TE, batch)
        if self.decoder.reads_embedding:
            batch = replace(batch, embedded_TD=embedded)
        x_TD = self.decoder.through((self.decoder.layers[i] for i in self.place.layers), x_TD, batch)
        return self.decoder.finish(x_TD) if self.place.last else IntermediateTensors(self.handed_on(x_TD, embedded))

    def handed_on(self, x_TD: Tensor, embedded_TD: Tensor | None) -> dict[str, Tensor]:
        """To the next stage of the pipeline."""
        more = {"embedded": embedded_TD} if self.decoder.reads_embedding and embedded_TD is not None else {}
        return {"hidden_states": x_TD, **more}

    def _batch(self, positions_T: Tensor) -> Batch:
        """Where the sequences lie is vLLM's own knowledge, and reaches its layers by another way."""
        rotary_T = {rope: positions_T + start for rope, start in self.starts.items()}
        return Batch(positions_T, positions_T, positions_T, {}, rotary_T=rotary_T)


class StoaForCausalLM(nn.Module, SupportsLoRA, SupportsPP, SupportsQuant):
    """A decoder whose caches are all pages."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        self.config, self.raw = vllm_config.model_config.hf_config, config.read(vllm_config.model_config)
        self.arch, self.recipes = arch_of(self.raw), recipes_of(self.raw, "safetensors")
        assert isinstance(self.arch.output, Next)
        self.packed_modules_mapping, self.hf_to_vllm_mapper = lora.packed(self.recipes), lora.mapper(self.recipes, "trunk.decoder")
        self.place = Place.here(len(self.arch.layers))
        self.trunk = Trunk(vllm_config=vllm_config, prefix=prefix, arch=self.arch, recipes=self.recipes, place=self.place)
        self.head, self.logits = _head(self.trunk, self.arch, self.arch.output) if self.place.last else (None, None)

    def embed_input_ids(self, input_ids: Tensor) -> Tensor:
        return self.trunk.decoder.rows(input_ids)

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: Tensor | None = None,
        **_: Any,
    ) -> Tensor | IntermediateTensors:
        return self.trunk(input_ids, positions, intermediate_tensors, inputs_embeds)

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """logits_SY; None in processes that do not sample."""
        if self.head is None or self.logits is None:
            return None
        tied = self.trunk.decoder.tied_head  # what is added behind a head that is the embedding
        return self.logits(
            self.head, hidden_states, getattr(self.head, "bias", None) if tied is None else tied.bias.to(hidden_states.dtype)
        )

    def make_empty_intermediate_tensors(self, batch_size: int, dtype: torch.dtype, device: torch.device) -> IntermediateTensors:
        zeros_TD = torch.zeros(batch_size, self.arch.dim, dtype=dtype, device=device)
        return IntermediateTensors(self.trunk.handed_on(zeros_TD, zeros_TD.clone()))

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        load(self.trunk.decoder, self.arch, self.recipes, parts(self.raw, dict(weights)), self.place)
        return {name for name, _ in self.named_parameters()}


class _WithStates:
    """What vLLM asks a class whose models keep states."""

    has_inner_state = True

    @classmethod
    def get_mamba_state_shape_from_config(cls, vllm_config: VllmConfig) -> tuple[tuple[int, ...], ...]:
        """Of the layer that keeps most."""
        return tuple(slot.shape for slot in _most(vllm_config))

    @classmethod
    def get_mamba_state_dtype_from_config(cls, vllm_config: VllmConfig) -> tuple[torch.dtype, ...]:
        return dtypes(_most(vllm_config), vllm_config.model_config.dtype)

    def get_mamba_state_copy_funcs(self, mamba_types: set[Any]) -> dict[Any, tuple[MambaStateCopyFunc, ...]]:
        """For vLLM's prefix cache: a kept state is a whole block's."""
        counts = {len(slots) for slots in map(slots_of, cast(StoaForCausalLM, self).arch.layers) if slots}
        if len(counts) > 1:
            raise ValueError("layers keep different numbers of states, which vLLM's prefix cache cannot copy: --no-enable-prefix-caching")
        return dict.fromkeys(mamba_types, (get_temporal_copy_spec,) * counts.pop())


def _most(vllm_config: VllmConfig) -> tuple[Slot, ...]:
    arch = arch_of(config.read(vllm_config.model_config))
    return max(map(slots_of, arch.layers), key=lambda slots: sum(prod(slot.shape) * (2 if slot.wide else 1) for slot in slots))


class StoaHybridForCausalLM(_WithStates, StoaForCausalLM):
    """A decoder that keeps pages and states."""

    is_hybrid = True


class StoaStatesForCausalLM(_WithStates, StoaForCausalLM):
    """A decoder that keeps states only."""

    is_attention_free = True


def _head(trunk: Trunk, arch: Arch, output: Next) -> tuple[nn.Module, LogitsProcessor]:
    """vLLM caps logits before it scales them, we after: a smaller cap does the same."""
    cap = None if output.softcap is None else output.softcap / output.scale
    logits = LogitsProcessor(arch.vocab, scale=output.scale, soft_cap=cap)
    if not arch.tied:
        return cast(nn.Module, trunk.decoder.head), logits
    width = arch.embed_dim or arch.dim
    return ParallelLMHead(arch.vocab, width, prefix="lm_head").tie_weights(trunk.decoder.embed), logits
