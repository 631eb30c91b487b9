"""Every encoder-decoder gives the logits and the answers that transformers gives, for the same random checkpoint."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.build import build
from models.describe import describe, parameters
from models.families import ENCODER_DECODERS, arch_of, stoa
from models.reference import Reference
from models.spec import Paged, groups
from models.weights import WeightsError
from tests.models.encoder_decoder_world import greedy, logits_of, make, some_inputs, some_tokens, their_answer, their_logits
from tests.models.test_describe import counted
from tests.models.world import ours

MARIAN_APART = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 256, "vocab_size": 260, "scale_embedding": False}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("t5", {}),
    ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    ("t5", {"feed_forward_proj": "gated-silu", "num_heads": 3, "num_decoder_layers": 1}),
    ("umt5", {}),
    ("umt5", {"feed_forward_proj": "relu", "tie_word_embeddings": False}),
    ("bart", {}),
    ("bart", {"scale_embedding": True, "activation_function": "relu"}),
    ("mbart", {}),
    ("mbart", {"scale_embedding": False, "activation_function": "relu"}),
    ("pegasus", {}),
    ("marian", {}),
    ("marian", MARIAN_APART),
    ("m2m_100", {}),
    ("m2m_100", {"scale_embedding": False, "activation_function": "gelu"}),
    ("whisper", {}),
    ("whisper", {"num_mel_bins": 7, "activation_function": "relu", "max_source_positions": 25, "encoder_attention_heads": 4}),
]


def tiny(family: str, **changes: Any) -> dict[str, Any]:
    return {**import_module(f"models.families.encoder_decoder.{family}").TINY, **changes}


def test_every_family_has_a_case() -> None:
    assert {module.rpartition(".")[2] for module in ENCODER_DECODERS.values()} == {family for family, _ in CASES}


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_same_logits_and_answers(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = make(tiny(family, **changes))
    theirs.save_pretrained(tmp_path)
    model = ours(tmp_path)
    inputs, texts = some_inputs(tiny(family, **changes), [31, 1, 7, 40]), some_tokens([23, 5, 1, 40], seed=8)
    torch.testing.assert_close(logits_of(model, inputs, texts), their_logits(theirs, inputs, texts), rtol=1e-4, atol=1e-4)
    begin = [theirs.config.decoder_start_token_id, 77]
    for read in inputs:
        assert greedy(model, read, begin, 12) == their_answer(theirs, read, begin, 12)


def test_a_head_of_its_own_is_read_whatever_the_flags_say(tmp_path: Path) -> None:
    """As Flan-T5's folders on the hub have one, under tie_word_embeddings = false; saved again, it says true, and does not scale."""
    theirs = make(tiny("t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    theirs.save_pretrained(tmp_path)
    config, tensors = json.loads((tmp_path / "config.json").read_text()), load_file(tmp_path / "model.safetensors")
    assert (config["tie_word_embeddings"], config["scale_decoder_outputs"]) == (True, False)
    head = torch.randn(256, 36, generator=torch.Generator().manual_seed(1))
    save_file({**tensors, "lm_head.weight": head}, tmp_path / "model.safetensors")
    theirs.lm_head.weight = torch.nn.Parameter(head)
    inputs, texts = some_tokens([9, 4]), some_tokens([6, 11])
    torch.testing.assert_close(logits_of(ours(tmp_path), inputs, texts), their_logits(theirs, inputs, texts), rtol=1e-4, atol=1e-4)


def test_a_scaled_head_must_be_the_embedding(tmp_path: Path) -> None:
    make(tiny("t5")).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({**tensors, "lm_head.weight": tensors["shared.weight"] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"lm_head\.weight differs from shared\.weight"):
        ours(tmp_path)


def test_what_old_files_store_beside_it(tmp_path: Path) -> None:
    """Copies of the embedding, tables of sines, and positions that nobody reads."""
    theirs = make(tiny("marian"))
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    copies = {f"model.{stack}.embed_tokens.weight": tensors["model.shared.weight"].clone() for stack in ("encoder", "decoder")}
    sines = {f"model.{stack}.embed_positions.weight": torch.zeros(128, 36) for stack in ("encoder", "decoder")}
    save_file({**tensors, **copies, **sines, "lm_head.weight": tensors["model.shared.weight"].clone()}, tmp_path / "model.safetensors")
    inputs, texts = some_tokens([9]), some_tokens([6])
    torch.testing.assert_close(logits_of(ours(tmp_path), inputs, texts), their_logits(theirs, inputs, texts), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_what_is_told_of_it(family: str, changes: dict[str, Any]) -> None:
    arch = arch_of(tiny(family, **changes))
    assert parameters(arch) == counted(build(arch, Reference(), context=8))
    assert arch_of(stoa.config_of(arch)) == arch
    crossing = [cache for cache in groups(arch) if cache.of == "encoder"]
    k = 10 if family in ("t5", "umt5") else 9
    heads = changes.get("num_heads", 4)
    assert crossing == [Paged(per_token=((heads, k), (heads, k)), of="encoder")]
    told = describe(arch)
    assert told.encoder is not None and told.encoder.layers == 2
    assert {group.of for group in told.caches} == {"self", "encoder"}
