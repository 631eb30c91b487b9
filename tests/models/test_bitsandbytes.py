"""bitsandbytes: its formula written out, and two rows that bitsandbytes 0.50 itself has packed."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.quant import Grouped, WeightsError
from tests.models import packers
from tests.models.test_formats import dense, weight

RANDOM = np.random.default_rng(6)
FOUR = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
SHAPE = (7, 96)  # blocks go over the ends of rows, and the last is cut


def four(kind: str, size: int, nested: int | None) -> tuple[dict[str, Tensor], Tensor]:
    """A random matrix's tensors and its values; `nested`: how many blocks share a number that scales theirs."""
    count = SHAPE[0] * SHAPE[1]
    codes, levels = RANDOM.integers(0, 16, count), torch.from_numpy(RANDOM.uniform(-1, 1, 16)).float()
    blocks, state = -(-count // size), {"quant_type": kind, "blocksize": size, "dtype": "float16", "shape": list(SHAPE)}
    parts = {"weight": torch.from_numpy(packers.codes(codes[None], 4, high_first=True)).reshape(-1, 1), "weight.quant_map": levels}
    absmax = torch.from_numpy(RANDOM.uniform(0.1, 0.3, blocks)).float()
    parts["weight.absmax"] = absmax
    if nested:
        small, more = RANDOM.integers(0, 256, blocks), torch.from_numpy(RANDOM.uniform(-1, 1, 256)).float()
        outer = torch.from_numpy(RANDOM.uniform(0.01, 0.1, -(-blocks // nested))).float()
        absmax = torch.stack([more[int(n)] * outer[i // nested] + 0.25 for i, n in enumerate(small)])
        parts |= {"weight.absmax": torch.from_numpy(small).to(torch.uint8)}
        parts |= {"weight.nested_absmax": outer, "weight.nested_quant_map": more}
        state |= {"nested_blocksize": nested, "nested_dtype": "float32", "nested_offset": 0.25}
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    values = torch.stack([levels[int(code)] * absmax[i // size] for i, code in enumerate(codes)])
    return parts, values.view(SHAPE)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize(("size", "nested"), [(64, None), (128, None), (64, 256), (64, 4)])
@pytest.mark.parametrize("storage", [torch.uint8, torch.bfloat16])
def test_four_bits(kind: str, size: int, nested: int | None, storage: torch.dtype) -> None:
    parts, want = four(kind, size, nested)
    parts["weight"] = parts["weight"].flatten().view(storage)[:, None]
    torch.testing.assert_close(dense(weight(parts, FOUR)), want, rtol=1e-6, atol=1e-6)


NF4 = """
    -1 -.6961928 -.52507305 -.3949175 -.28444138 -.18477343 -.091050036 0
    .0795803 .1609302 .2461123 .33791524 .44070983 .562617 .72295684 1
"""
GOLDEN = [0, 17, 35, 52, 85, 102, 102, *[119] * 7, 136, 137]


def test_what_bitsandbytes_has_packed() -> None:
    """linspace(-2, 1, 32) ** 3 in two rows, nf4 in one block of 64 that is cut."""
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [2, 16]}
    parts = {
        "weight": torch.tensor(GOLDEN, dtype=torch.uint8)[:, None],
        "weight.absmax": torch.tensor([8.0]),
        "weight.quant_map": torch.tensor([float(level) for level in NF4.split()]),
        "weight.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
    }
    got = dense(weight(parts, FOUR))
    assert got[0, 0] == -8 and bool((got.flatten().diff() >= 0).all())
    torch.testing.assert_close(got, torch.linspace(-2, 1, 32).view(2, 16) ** 3, rtol=0, atol=1.2)


def test_eight_bits() -> None:
    q, scale = torch.from_numpy(RANDOM.integers(-127, 128, (10, 64))).to(torch.int8), torch.rand(10) + 0.5
    parts = {"weight": q, "SCB": scale, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    got = weight(parts, {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": 6.0})
    assert isinstance(got, Grouped)
    torch.testing.assert_close(got.dequantize(), q * (scale[:, None] / 127), rtol=1e-6, atol=1e-6)


def test_a_plain_matrix_stays() -> None:
    plain = torch.randn(3, 4)
    assert weight({"weight": plain}, FOUR) is plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_format": torch.tensor(2, dtype=torch.uint8)}, "a.weight_format = 2 is not supported, only 0"),
        ({"weight_format": None, "SCB": None}, "no tensor a.SCB, which a.weight is unpacked with"),
    ],
)
def test_eight_bits_refused(change: dict[str, Any], message: str) -> None:
    parts = {"weight": torch.zeros(2, 32, dtype=torch.int8), "SCB": torch.ones(2)} | change
    with pytest.raises(WeightsError, match=message):
        weight({name: value for name, value in parts.items() if value is not None}, FOUR)


@pytest.mark.parametrize("state", [b"{", b"[]", b"{}", b'{"shape": [7, 96]}', b'{"shape": [7, 95], "blocksize": 64}', b'{"shape": [7]}'])
def test_a_state_that_is_none(state: bytes) -> None:
    parts, _ = four("nf4", 64, None)
    with pytest.raises(WeightsError, match=r"^a\.weight"):
        weight(parts | {"weight.quant_state.bitsandbytes__nf4": torch.tensor(list(state), dtype=torch.uint8)}, FOUR)
