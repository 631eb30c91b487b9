"""Products by tiles (AMX) against the vectors that they stand for: the same bits where sums are integers, the same roundings in bf16."""

import pytest
import torch
from torch import Tensor

from engine.embedded.kernels.library import LEVELS, TILED_PATHS, Library, levels
from engine.embedded.kernels.packing import pack
from engine.embedded.native.ops import Kernels
from models.quant import quantize
from tests.engine.test_native import FORMS, grouped

TOKENS = [1, 15, 16, 23, 37, 130]


def test_the_levels_are_in_order() -> None:
    """Tiles come last, so whoever has them has every path that the other tests compare."""
    assert LEVELS[-1] == "amx" and list(levels()) == list(LEVELS[: len(levels())])


def both() -> tuple[Kernels, Kernels]:
    tiles, vectors = (Library.open(1, level) for level in ("amx", "avx512_bf16"))
    assert tiles is not None and vectors is not None
    return Kernels(tiles), Kernels(vectors)


amx = pytest.mark.skipif("amx" not in levels(), reason="the processor has no tiles: what stands for them is tested elsewhere")


@amx
@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("form", FORMS)
def test_integer_sums_have_the_same_bits(form: str, tokens: int) -> None:
    torch.manual_seed(0)
    tiles, vectors = both()
    weight, x_TI, bias_O = pack(grouped(form, 64, 32 * 11)), torch.randn(tokens, 32 * 11) ** 5, torch.randn(64)
    before = tiles.library.tiled
    assert torch.equal(tiles.linear(x_TI, weight, bias_O), vectors.linear(x_TI, weight, bias_O))
    ran = {name for name in TILED_PATHS if tiles.library.tiled[name] > before[name]}
    assert ("bytes" in ran) == (tokens >= 16) and ("hot" in ran or tokens < 130) and not ran & {"bf16", "attention"}


def rounded_sums(x_TI: Tensor, w_OI: Tensor, start_TO: Tensor) -> Tensor:
    """What TDPBF16PS computes: of 32 inputs the even products and the odd ones are summed up in float32, one after the other and each
    rounded once (in float64 a product of two bf16 is exact, and so is its sum with a float32 here), then both sums are added."""
    y_TO = start_TO
    for at in range(0, x_TI.shape[1], 32):
        halves = [torch.zeros_like(y_TO), torch.zeros_like(y_TO)]
        for i in range(at, at + 32):
            halves[i % 2] = (halves[i % 2].double() + x_TI[:, i, None].double() * w_OI[:, i].double()).float()
        y_TO = y_TO + (halves[0] + halves[1])
    return y_TO


@amx
@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("shape", [(80, 96), (16, 544), (48, 32)])
def test_bf16_sums_are_rounded_as_the_manual_says(shape: tuple[int, int], tokens: int) -> None:
    torch.manual_seed(0)
    tiles, _ = both()
    weight_OI, x_TI, bias_O = torch.randn(shape).bfloat16().float(), torch.randn(tokens, shape[1]).bfloat16().float(), torch.randn(shape[0])
    before = tiles.library.tiled["bf16"]
    got = tiles.linear(x_TI, pack(weight_OI), bias_O)
    assert tiles.library.tiled["bf16"] > before
    assert torch.equal(got, rounded_sums(x_TI, weight_OI, bias_O.expand(tokens, -1)))


@amx
def test_many_rows_of_few_bits_are_tiles_by_default() -> None:
    library = Library.open(1)
    assert library is not None and library.level == "amx"
    before = library.tiled
    Kernels(library).linear(torch.randn(32, 64), pack(quantize(torch.randn(16, 64), 4)), None)
    assert library.tiled["bytes"] > before["bytes"]
