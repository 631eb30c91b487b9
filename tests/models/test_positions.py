"""RoPE's frequencies, as transformers computes them, and its table."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from models import ops
from models.batch import Batch
from models.hf import Config, rope
from models.parts.positions import Rotary, frequencies, table
from models.reference import whole
from models.spec import Divided, DynamicNtk, LongRope, Rope, rope_lengths, rope_start
from tests.models.test_parity import LINEAR, LLAMA3, YARN

LONG = {"original_max_position_embeddings": 4096}
SCALED: list[dict[str, Any]] = [
    LINEAR,
    LLAMA3 | {"rope_theta": 10_000.0},
    LLAMA3 | LONG | {"rope_theta": 500_000.0, "factor": 32.0},
    YARN,
    YARN | LONG | {"factor": 40.0, "rope_theta": 1_000_000.0},
    YARN | LONG | {"beta_fast": 20.0, "beta_slow": 2.0, "truncate": False},
    YARN | {"attention_factor": 1.3},
    YARN | {"mscale": 0.7, "mscale_all_dim": 1.0},
    YARN | {"factor": 1.0},
]


@pytest.mark.parametrize("parameters", SCALED, ids=[str(i) for i in range(len(SCALED))])
@pytest.mark.parametrize("dim", [16, 64, 128])
def test_scaled_frequencies(parameters: dict[str, Any], dim: int) -> None:
    theirs = LlamaConfig(head_dim=dim, max_position_embeddings=65536, rope_parameters=dict(parameters))
    want, amplitude = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](theirs, torch.device("cpu"))
    spec = rope(Config({"rope_parameters": parameters, "max_position_embeddings": 65536}), dim)
    torch.testing.assert_close(frequencies(spec), want, rtol=1e-6, atol=0)
    assert table(spec, 1)[0, 0] == pytest.approx(amplitude)


def test_divided() -> None:
    got = frequencies(Rope(dim=6, base=100.0, scaling=Divided(factors=(1.0, 2.0, 8.0))))
    torch.testing.assert_close(got, frequencies(Rope(dim=6, base=100.0)) / torch.tensor([1.0, 2.0, 8.0]))


def at(*positions: int) -> Batch:
    return replace(whole([len(positions)]), positions_T=torch.tensor(positions))


LONGROPE = LongRope(original=4, short=(1.0, 2.0), long=(3.0, 5.0), short_amplitude=1.0, long_amplitude=1.25)


def test_longrope_has_a_table_for_either_kind_of_sequence() -> None:
    spec = Rope(dim=4, scaling=LONGROPE)
    assert rope_lengths(spec, 10) == (4, 10)
    assert [rope_start(spec, 10, n) for n in (1, 4, 5, 10)] == [0, 0, 4, 4]
    both, plain = table(spec, 10), Rope(dim=4)
    torch.testing.assert_close(both[:4], table(replace(plain, scaling=Divided(factors=(1.0, 2.0))), 4))
    torch.testing.assert_close(both[4:], table(replace(plain, scaling=Divided(factors=(3.0, 5.0))), 10) * 1.25)
    assert rope_lengths(spec, 3) == (3,)


def test_dynamic_ntk_grows_by_doublings() -> None:
    spec = Rope(dim=4, scaling=DynamicNtk(original=4, factor=2.0))
    assert rope_lengths(spec, 20) == (4, 8, 16, 20)
    assert [rope_start(spec, 20, n) for n in (4, 5, 8, 9, 17)] == [0, 4, 4, 12, 28]
    assert table(spec, 20).shape == (48, 4)
    torch.testing.assert_close(table(spec, 20)[:4], table(Rope(dim=4), 4))


def test_only_distances_count() -> None:
    """The product of a rotated query and a rotated key does not change when both move."""
    rotary, q, k = Rotary(Rope(dim=8), 100, ops.Ops()), torch.randn(1, 1, 8), torch.randn(1, 1, 8)
    products = [(rotary(q, at(p + 3)) * rotary(k, at(p))).sum() for p in (0, 1, 50, 96)]
    torch.testing.assert_close(torch.stack(products), products[0].expand(4), rtol=1e-4, atol=1e-5)


def test_what_lies_beyond_dim_stays() -> None:
    rotary, x = Rotary(Rope(dim=4), 10, ops.Ops()), torch.randn(3, 2, 6)
    y = rotary(x, at(0, 1, 9))
    assert torch.equal(y[..., 4:], x[..., 4:]) and torch.equal(y[0], x[0]) and not torch.equal(y[1], x[1])


def test_table_is_not_saved() -> None:
    assert not Rotary(Rope(dim=4), 10, ops.Ops()).state_dict()
