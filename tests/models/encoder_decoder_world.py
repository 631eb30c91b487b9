"""Tiny random encoder-decoders made with transformers, and both sides' logits and answers for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel

from models.reference import whole
from models.stacks.decoder import Decoder


def make(values: Mapping[str, Any], seed: int = 0) -> PreTrainedModel:
    """The world's model of the class that a config.json names. All tensors are noise, but for sines that nobody stores."""
    rest = {key: value for key, value in values.items() if key not in ("architectures", "model_type")}
    config = AutoConfig.for_model(values["model_type"], attn_implementation="eager", **rest)
    model = getattr(transformers, values["architectures"][0])(config).eval()
    generator = torch.Generator().manual_seed(seed)
    biases = [buffer for name, buffer in model.named_buffers() if name == "final_logits_bias"]
    with torch.no_grad():
        for parameter in (*(p for p in model.parameters() if p.requires_grad), *biases):
            noise = torch.randn(parameter.shape, generator=generator)
            wide = parameter.dim() == 2 and parameter.shape[0] > 1
            parameter.copy_(noise * parameter.shape[1] ** -0.5 if wide else parameter + 0.3 * noise)
    return model


@torch.no_grad()
def logits_of(model: Decoder, inputs: Sequence[Tensor], texts: Sequence[Tensor]) -> Tensor:
    """Of every token of all texts, each behind the input of its number, in one step."""
    batch = whole([len(text) for text in texts], inputs=inputs)
    return model.logits(model(torch.cat(list(texts)), batch))


@torch.no_grad()
def their_logits(model: Any, inputs: Sequence[Tensor], texts: Sequence[Tensor]) -> Tensor:
    pairs = zip(inputs, texts, strict=True)
    return torch.cat([model(**_read(read), decoder_input_ids=text[None], use_cache=False).logits[0] for read, text in pairs])


@torch.no_grad()
def their_looks(model: Any, read: Tensor, text: Tensor) -> list[Tensor]:
    """[H, T, M] of each layer: what share of its attention each token of the text gives each row of the input."""
    out = model(**_read(read), decoder_input_ids=text[None], use_cache=False, output_attentions=True)
    return [layer[0] for layer in out.cross_attentions]


def _read(read: Tensor) -> dict[str, Tensor]:
    """Tokens, or frames [F, C], as transformers takes them."""
    return {"input_ids": read[None]} if read.dim() == 1 else {"input_features": read.T[None]}


def greedy(model: Decoder, read: Tensor, begin: Sequence[int], count: int) -> list[int]:
    tokens = list(begin)
    for _ in range(count):
        tokens.append(int(logits_of(model, [read], [torch.tensor(tokens)])[-1].argmax()))
    return tokens


@torch.no_grad()
def their_answer(model: Any, read: Tensor, begin: Sequence[int], count: int, **options: Any) -> list[int]:
    """With the tokens that it begins with; nothing is forced and no end ends it, unless `options` say so."""
    if read.dim() == 2:  # Whisper's `generate` is one that cuts and joins texts by their times
        return _one_by_one(model, read, begin, count)
    usual: dict[str, Any] = {"do_sample": False, "num_beams": 1, "forced_bos_token_id": None, "forced_eos_token_id": None}
    usual |= {"min_new_tokens": 0, "eos_token_id": None, "max_new_tokens": count}
    usual["use_cache"] = False  # transformers 5.24 makes as many caches as the encoder has layers
    return model.generate(input_ids=read[None], decoder_input_ids=torch.tensor([list(begin)]), **(usual | options))[0].tolist()


def _one_by_one(model: Any, read: Tensor, begin: Sequence[int], count: int) -> list[int]:
    tokens = list(begin)
    for _ in range(count):
        tokens.append(int(their_logits(model, [read], [torch.tensor(tokens)])[-1].argmax()))
    return tokens


def some_inputs(values: Mapping[str, Any], lengths: Sequence[int]) -> list[Tensor]:
    """What the encoder of such a model reads: tokens, or as many frames as it always reads."""
    if "num_mel_bins" not in values:
        return some_tokens(lengths)
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(2 * values["max_source_positions"], values["num_mel_bins"], generator=generator) for _ in lengths]


def some_tokens(lengths: Sequence[int], seed: int = 7) -> list[Tensor]:
    """None of them padding, an end or a beginning."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 250, (n,), generator=generator) for n in lengths]
