"""Hashed attention over pages: what is shown to whom, against windows in the order of buckets written out, and transformers' own
answers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.embedded.on_torch.lsh import counts
from models.reference.sparse import shown
from models.spec import Sorted
from tests.engine.test_families import core, load
from tests.engine.tiny import answer, drain, greedy, sequence
from tests.models.test_parity import tiny
from tests.models.world import make


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_every_token_is_shown_what_its_window_holds(size: int, before: int) -> None:
    """Also where the circle is shorter than the window, and shows some of it twice."""
    mask = Sorted(size=size, before=before)
    buckets_HRM = torch.randint(5, (2, 3, 17))
    got_HQM = counts(mask, buckets_HRM[None], torch.arange(17)[None])[0]
    assert torch.equal(got_HQM, shown(mask, buckets_HRM))


def test_what_was_never_written_is_shown_to_nobody() -> None:
    mask, written, more = Sorted(size=3), torch.randint(5, (1, 2, 2, 10)), torch.randint(-9, 9, (1, 2, 2, 6))
    query_SQ = torch.arange(10)[None]
    got = counts(mask, torch.cat([written, more], -1), query_SQ)
    assert torch.equal(got[..., :10], counts(mask, written, query_SQ)) and not got[..., 10:].any()


def test_each_round_shows_a_chunk_and_those_before() -> None:
    total_HQM = shown(Sorted(size=4, before=1), torch.randint(9, (2, 3, 40)))
    assert (total_HQM.sum(-1)[:, 8:] == 3 * 8).all() and (total_HQM.diagonal(dim1=1, dim2=2) > 0).all()
    assert (total_HQM.triu(1) == 0).all()


@pytest.mark.parametrize(
    ("changes", "prompt"), [({}, 3), ({"num_hashes": 1}, 2), ({"attn_layers": ["lsh"], "lsh_num_chunks_before": 2}, 1)]
)
def test_greedy_answers_are_transformers_own(changes: dict[str, Any], prompt: int, tmp_path: Path) -> None:
    """To prompts shorter than a chunk: longer ones it reads at once, and each token then depends on those behind it."""
    theirs = make(tiny("reformer_lm", **changes))
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(256, (1, prompt))
    with torch.no_grad():
        want = theirs.generate(tokens, max_new_tokens=36, do_sample=False, eos_token_id=None)[0, prompt:]  # type: ignore[operator]
    engine = core(load(tmp_path, torch.float32))
    seq = sequence(engine, tokens[0].tolist(), greedy(36))
    engine.add(seq)
    drain(engine)
    assert answer(seq) == want.tolist()
