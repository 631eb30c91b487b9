"""Tiny random encoders made with transformers and sentence-transformers, and ours of the same folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from models.build import build_encoder
from models.encoders import open_encoder
from models.reference import Reference, whole
from models.stacks.encoder import Encoder
from models.weights import load


def make(values: Mapping[str, Any], seed: int = 0) -> PreTrainedModel:
    """The world's model of the class that a config.json names, with weights that let no part hide."""
    rest = {key: value for key, value in values.items() if key not in ("architectures", "model_type")}
    config = AutoConfig.for_model(values["model_type"], attn_implementation="eager", **rest)
    model = getattr(transformers, values["architectures"][0])(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            match parameter.dim():
                case 1:
                    parameter.add_(0.3 * noise)
                case 2:
                    parameter.copy_(noise * parameter.shape[1] ** -0.5)
                case _:
                    parameter.copy_(noise)
    return model


@torch.no_grad()
def run(model: Any, tokens: Tensor, **more: Tensor) -> Any:
    """The world's output for one text. Longformer's first token is global, as its own classifier has it; BigBird forgets that
    a short text has switched it to full attention."""
    if model.config.model_type == "longformer":
        more["global_attention_mask"] = (torch.arange(len(tokens)) == 0).long()[None]
    if model.config.model_type == "big_bird":
        model.base_model.set_attention_type(model.config.attention_type)
    return model(tokens[None], **more)


def ours(directory: Path, dtype: torch.dtype = torch.float32, context: int = 256) -> Encoder:
    """Our model of a folder, on the reference backend."""
    folder = open_encoder(directory)
    model = build_encoder(folder.arch, Reference(dtype), context=context)
    load(model, folder.arch, folder.recipes, folder.tensors)
    return model


@torch.no_grad()
def rows_of(model: Encoder, sentences: Sequence[Tensor], segments: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """(x_TD, y_SE) of all sentences in one step."""
    batch = whole([len(s) for s in sentences], None if segments is None else torch.cat(list(segments)))
    x_TD = model(torch.cat(list(sentences)), batch)
    return x_TD, model.output(x_TD, batch)


def tokenizer(vocab: int = 256) -> PreTrainedTokenizerFast:
    """One token for each of the words w0, w1 ..., between the two special ones that BERT has."""
    words = {f"w{i}": i for i in range(5, vocab)} | {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    found = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    found.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    found.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)  # type: ignore[assignment]
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=found, model_input_names=inputs, **names)
