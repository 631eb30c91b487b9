"""Experts by grouped products, which a GPU runs, against the loop over experts."""

import pytest
import torch

from engine.embedded.on_torch.experts import GroupedExperts, may_group
from models.reference import Experts
from models.spec import Clamped, InputSigmoid, MoE, Router, Softmax


@pytest.mark.parametrize("router", [Softmax(), InputSigmoid()], ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tokens", [1, 40])
@pytest.mark.parametrize("gated", [False, True])
def test_equal_the_loop(router: Router, bias: bool, tokens: int, gated: bool) -> None:
    torch.manual_seed(0)
    spec = MoE(experts=7, active=2, hidden=24, router=router, bias=bias, gated=gated, activation=Clamped(limit=0.5) if gated else "relu2")
    loop, grouped = (kind(spec, 16, torch.float32) for kind in (Experts, GroupedExperts))
    for field, shape in loop.fields.items():
        value = torch.randn(shape) / 4
        loop.assign(field, value)
        grouped.assign(field, value)
    experts_TA = torch.stack([torch.randperm(6)[:2] for _ in range(tokens)])  # the last has none
    x_TD, weights_TA = torch.randn(tokens, 16), torch.rand(tokens, 2)
    torch.testing.assert_close(grouped(x_TD, experts_TA, weights_TA), loop(x_TD, experts_TA, weights_TA), rtol=1e-5, atol=1e-5)


def test_only_aligned_rows_of_bf16() -> None:
    spec = MoE(experts=7, active=2, hidden=24, router=Softmax())
    assert may_group(spec, 16, torch.bfloat16)
    assert not may_group(spec, 16, torch.float32) and not may_group(spec, 20, torch.bfloat16)
