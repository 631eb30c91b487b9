"""Every family whose answers are denoised gives the logits that transformers gives for the body that it shares with a decoder, under the
mask that it has."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.build import build
from models.describe import describe, parameters
from models.families import TEXT_DIFFUSION, arch_of, stoa
from models.reference import Reference
from models.spec import Denoised, groups
from models.spec.check import check
from models.spec.json_form import SpecError
from tests.models.test_describe import counted
from tests.models.world import logits_of, make, ours, prompts
from tests.tiny_models.number_words_llada import renamed

FAMILIES = {module.rpartition(".")[2] for module in TEXT_DIFFUSION.values()}
LLADA = {
    "hidden_size": "d_model",
    "intermediate_size": "mlp_hidden_size",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_sequence_length",
    "rms_norm_eps": "rms_norm_eps",
}


def tiny(family: str) -> dict[str, Any]:
    return dict(import_module(f"models.families.text_diffusion.{family}").TINY)


def body(family: str) -> dict[str, Any]:
    """config.json of the decoder that it is built like."""
    values = tiny(family)
    if family == "llada":
        values = {theirs: values[ours] for theirs, ours in LLADA.items()} | {"rope_theta": 500000.0, "tie_word_embeddings": False}
    for name in ("mask_token_id", "block_size"):
        values.pop(name, None)
    kind = {"llada": ("LlamaForCausalLM", "llama"), "dream": ("Qwen2ForCausalLM", "qwen2"), "sdar": ("Qwen3ForCausalLM", "qwen3")}[family]
    return values | {"architectures": [kind[0]], "model_type": kind[1]}


def save(family: str, theirs: Any, folder: Path) -> None:
    """As the family's own folders have it."""
    tensors = {name: value.clone() for name, value in theirs.state_dict().items()}
    if family == "llada":
        tensors = {renamed(name): value for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(tiny(family)))


@torch.no_grad()
def their_logits(theirs: Any, tokens: Tensor, block: int | None) -> Tensor:
    """Of one text, in which tokens see all of it, or their own block and those before."""
    at = torch.arange(len(tokens))
    may = torch.ones(len(tokens), len(tokens), dtype=torch.bool) if block is None else at[:, None] // block >= at // block
    added = torch.zeros(may.shape).masked_fill(~may, -torch.inf)
    return theirs(input_ids=tokens[None], attention_mask=added[None, None], use_cache=False).logits[0]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_logits(family: str, tmp_path: Path) -> None:
    theirs = make(body(family))
    save(family, theirs, tmp_path)
    texts = prompts([23, 1, 8, 40])
    expected = torch.cat([their_logits(theirs, text, tiny(family).get("block_size")) for text in texts])
    torch.testing.assert_close(logits_of(ours(tmp_path), texts), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_is_told_of_it(family: str) -> None:
    arch = arch_of(tiny(family))
    check(arch)
    assert arch_of(stoa.config_of(arch)) == arch
    assert parameters(arch) == counted(build(arch, Reference(), context=8))
    assert bool(groups(arch)) == (family == "sdar") == bool(describe(arch).caches)  # what sees the whole text remembers nothing


def test_what_cannot_be_denoised() -> None:
    written = stoa.config_of(arch_of(tiny("sdar")))["arch"]
    for change, reason in (
        ({"output": {"type": "Denoised", "mask": 256}}, r"output\.mask = 256 is no token of the 256"),
        ({"output": {"type": "Denoised", "mask": 1, "shifted": True}}, r"output\.shifted must be false"),
        ({"output": {"type": "Next"}}, "sees tokens ahead"),
    ):
        with pytest.raises((SpecError, ValueError), match=reason):
            arch_of({"model_type": "stoa", "architectures": ["StoaForCausalLM"], "stoa_version": 1, "arch": written | change})
    causal = stoa.config_of(arch_of(body("sdar")))["arch"] | {"output": {"type": "Denoised", "mask": 1}}
    with pytest.raises(ValueError, match="must be an Attention with the mask Full or BlockCausal"):
        arch_of({"model_type": "stoa", "architectures": ["StoaForCausalLM"], "stoa_version": 1, "arch": causal})
    assert isinstance(arch_of(tiny("dream")).output, Denoised)
