"""Tiny random checkpoints made with transformers, and both sides' logits for them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from models.build import build
from models.checkpoint import open_checkpoint
from models.families import arch_of, recipes_of
from models.families.multimodal import parts
from models.reference import Reference, whole
from models.spec import long_ropes
from models.stacks.decoder import Decoder
from models.weights import load
from tests.models.rwkv_world import Rwkv7


def make(values: Mapping[str, Any], seed: int = 0, attention: str = "eager") -> PreTrainedModel:
    """The world's model for a config.json, with weights that let no part hide: no norm is the identity, no bias zero."""
    if values["model_type"] == "rwkv7":
        return cast(PreTrainedModel, Rwkv7(values, seed))
    rest = {key: value for key, value in values.items() if key not in ("architectures", "model_type")}
    config = AutoConfig.for_model(values["model_type"], **rest)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention).eval()
    generator = torch.Generator().manual_seed(seed)
    corrections = [buffer for name, buffer in model.named_buffers() if name.endswith(("e_score_correction_bias", "expert_bias"))]
    with torch.no_grad():
        for parameter in (*model.parameters(), *corrections):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter.shape[1] ** -0.5 if parameter.dim() == 2 else parameter + 0.3 * noise)
    return model


def read_config(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "config.json").read_text())


CONTEXT = 128


def ours(directory: Path, context: int = CONTEXT) -> Decoder:
    """Our model of a prepared directory, on the reference backend."""
    config, checkpoint = read_config(directory), open_checkpoint(directory)
    arch = arch_of(config)
    model = build(arch, Reference(), context=context)
    load(model, arch, recipes_of(config, checkpoint.form), parts(config, checkpoint))
    return model


def prompts(lengths: Sequence[int], vocab: int = 256) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(vocab, (n,), generator=generator) for n in lengths]


@torch.no_grad()
def logits_of(model: Decoder, tokens: Sequence[Tensor]) -> Tensor:
    """Of every token of all sequences, in one step."""
    batch = whole([len(t) for t in tokens], ropes=long_ropes(model.arch), context=CONTEXT)
    return model.logits(model(torch.cat(list(tokens)), batch))


@torch.no_grad()
def their_logits(model: PreTrainedModel, tokens: Sequence[Tensor], **options: Any) -> Tensor:
    """Of every token, one sequence after another."""
    return torch.cat([_one_by_one(model, t) if _is_reformer(model) else model(t[None], **options).logits[0] for t in tokens])


def _is_reformer(model: PreTrainedModel) -> bool:
    """What it says of a token changes with those behind it, unless every token comes alone."""
    return model.config.model_type == "reformer"


def _one_by_one(model: Any, tokens_T: Tensor) -> Tensor:
    logits, past = list[Tensor](), None
    for token in tokens_T:
        out = model(token[None, None], past_buckets_states=past, use_cache=True)
        past = out.past_buckets_states
        logits.append(out.logits[0])
    return torch.cat(logits)
