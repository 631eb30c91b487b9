"""Longformer, BigBird and Reformer at the borders of their patterns: windows, blocks, chunks, the switch to full attention, global
tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.families import arch_of
from models.hf import ConfigError
from models.masks import may_see
from models.spec import BlockSparse, LocalGlobalAttention
from tests.models.encoder_world import make, ours, rows_of, run
from tests.models.test_encoders import tiny
from tests.models.world import prompts

# windows of 2, 8 and 4 tokens on either side, padded to 16; blocks of 4, full up to 28; chunks of 4 and 6, padded to 12
LENGTHS = {
    "longformer": [2, 3, 5, 8, 9, 15, 16, 17, 18, 33, 128],
    "bigbird": [1, 4, 27, 28, 29, 31, 32, 33, 40, 127, 128],
    "reformer": [1, 3, 4, 5, 6, 7, 11, 12, 13, 24, 25, 120],
}


def words(lengths: list[int]) -> list[Tensor]:
    return [t.clamp(min=5) for t in prompts(lengths)]


def agree(directory: Path, values: dict[str, Any], tokens: list[Tensor]) -> None:
    theirs = make(values)
    theirs.save_pretrained(directory)
    want = torch.cat([run(theirs, t).last_hidden_state[0] for t in tokens])
    torch.testing.assert_close(rows_of(ours(directory), tokens)[0], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", LENGTHS)
def test_lengths(family: str, tmp_path: Path) -> None:
    agree(tmp_path, tiny(family), words(LENGTHS[family]))


@pytest.mark.parametrize(("size", "random"), [(2, 3), (8, 1), (3, 2)])
def test_blocks(size: int, random: int, tmp_path: Path) -> None:
    full = (5 + 2 * random) * size
    agree(tmp_path, tiny("bigbird", block_size=size, num_random_blocks=random), words([full, full + 1, full + size, 100]))


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_layers": ["local"]},
        {"attn_layers": ["lsh"]},
        {"local_attn_chunk_length": 8, "lsh_attn_chunk_length": 4},
        {"local_num_chunks_before": 0, "lsh_num_chunks_before": 2, "lsh_num_chunks_after": 1, "num_hashes": 3},
        {"local_num_chunks_before": 2, "local_num_chunks_after": 2, "num_buckets": 8},
        {"axial_pos_embds": False, "num_buckets": [4, 2]},
    ],
)
def test_chunks(changes: dict[str, Any], tmp_path: Path) -> None:
    agree(tmp_path, tiny("reformer", **changes), words([4, 5, 8, 9, 16, 17, 50]))


def test_each_layer_has_its_window() -> None:
    mixers = [layer.mixer for layer in arch_of(tiny("longformer")).layers]
    assert [mixer.mask.distance for mixer in mixers if isinstance(mixer, LocalGlobalAttention)] == [2, 8, 4]


def question(tokens: Tensor) -> Tensor:
    """All before the first separator."""
    return ((tokens == 2).cumsum(0) == 0).long()


GLOBALS = {"none": torch.zeros_like, "question": question}


@pytest.mark.parametrize("choice", GLOBALS)
def test_which_tokens_are_global(choice: str, tmp_path: Path) -> None:
    theirs = make(tiny("longformer"))
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"global_attention": choice}))
    tokens = words([40, 9, 60])
    for at, text in zip((11, 3, 1), tokens, strict=True):
        text[at : at + 2] = 2
    want = torch.cat([theirs(t[None], global_attention_mask=GLOBALS[choice](t)[None]).last_hidden_state[0] for t in tokens])
    torch.testing.assert_close(rows_of(ours(tmp_path), tokens)[0], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("longformer", {"attention_window": 7}, "attention_window"),
        ("longformer", {"attention_window": [4, 8]}, "attention_window"),
        ("longformer", {"global_attention": "last"}, "global_attention"),
        ("longformer", {"attention_mode": "sliding_chunks"}, "attention_mode"),
        ("bigbird", {"attention_type": "simulated"}, "attention_type"),
        ("reformer", {"attn_layers": ["local", "full"]}, "attn_layers"),
        ("reformer", {"num_buckets": None}, "num_buckets"),
        ("reformer", {"axial_pos_embds_dim": [20, 20]}, "axial_pos_embds_dim"),
        ("reformer", {"is_decoder": True}, "is_decoder"),
    ],
)
def test_what_is_refused(family: str, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        arch_of(tiny(family, **changes))


def test_a_mask_that_needs_the_length_says_so() -> None:
    at = torch.arange(3)
    with pytest.raises(ValueError, match="length"):
        may_see(BlockSparse(size=2, random=1), at[:, None], at)
