"""The kernels that only encoders use, against their twins in plain torch, and a sentence's bits in any company."""

import pytest
import torch
from torch import Tensor

from engine.embedded.encoder.on_torch import Squares
from engine.embedded.encoder.on_torch import WholeAttention as TorchAttention
from engine.embedded.kernels.library import ADD, BALANCE, LAYER_NORM, Library, levels
from engine.embedded.kernels.packing import Bytes, pack, pack_bytes
from engine.embedded.native.ops import Kernels
from engine.embedded.native.whole import WholeAttention
from models import ops
from models.reference import attend, whole
from models.spec import Attention, Full, Mask, Neighbourhood

native = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=levels())
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """At each instruction set that the processor has."""
    library = Library.open(2, request.param)
    assert library is not None
    return Kernels(library)


def close(got: Tensor, want: Tensor, tolerance: float) -> None:
    error = (got - want).abs().max().item() / want.abs().max().item()
    assert error < tolerance, f"off by {error:.2e} of the largest value"


@native
@pytest.mark.parametrize("tokens", [1, 16, 63])
def test_small_operations_equal_torch(kernels: Kernels, tokens: int) -> None:
    x, weight, bias = torch.randn(tokens, 96) * 3 + 5, torch.rand(96), torch.randn(96)
    close(kernels.layer_norm(x, weight, bias, 1e-5), ops.layer_norm(x, weight, bias, 1e-5), 1e-6)
    close(kernels.layer_norm(x, weight, None, 1e-12), ops.layer_norm(x, weight, None, 1e-12), 1e-6)
    for activation in ("gelu", "relu", "tanh"):
        close(kernels.activate(x - 5, activation), ops.activate(x - 5, activation), 1e-6)
        close(kernels.gated(x - 5, activation), ops.gated(x - 5, activation), 1e-6)


@native
def test_gelu_is_exact_far_out(kernels: Kernels) -> None:
    x = torch.linspace(-40, 40, 16 * 1000).view(100, 160)
    torch.testing.assert_close(kernels.activate(x, "gelu"), ops.activate(x, "gelu"), rtol=1e-5, atol=1e-6)


@native
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_a_table(kernels: Kernels, dtype: torch.dtype) -> None:
    table, rows = torch.randn(70, 64, dtype=dtype), torch.tensor([0, 69, 3, 3])
    assert torch.equal(kernels.rows(table, rows), table.float()[rows])


def packed(kernels: Kernels, weight_OI: Tensor) -> Bytes:
    return pack_bytes(weight_OI, kernels.library.byte_range)


def rounded(x_TI: Tensor, top_activation: int) -> Tensor:
    """Groups of 32 in a byte, or in two where their largest value is far beyond the row's root mean square."""
    x_TGS = x_TI.unflatten(1, (-1, 32))
    top = x_TGS.abs().amax(-1, keepdim=True)
    hot = top > min(12, 0.6 * x_TI.shape[1] ** 0.5) * x_TI.square().mean(-1).sqrt()[:, None, None]
    step = torch.where(top == 0, 1, top) / torch.where(hot, 2 * top_activation**2, top_activation)
    return (torch.round(x_TGS / step) * step).flatten(1)


@native
@pytest.mark.parametrize("shape", [(48, 32), (250, 576), (16, 1536)])
@pytest.mark.parametrize("tokens", [1, 7, 63, 130])
@pytest.mark.parametrize("power", [1, 7])  # 7: a few values far beyond the others, so that groups are hot
def test_matrices_of_bytes(kernels: Kernels, shape: tuple[int, int], tokens: int, power: int) -> None:
    weight_OI, x_TI, bias_O = torch.randn(shape), torch.randn(tokens, shape[1]) ** power, torch.randn(shape[0])
    weight, top = packed(kernels, weight_OI), kernels.library.byte_range.top_activation
    got = kernels.multiply(x_TI, weight, torch.cat([bias_O, torch.zeros(-shape[0] % 16)]))[:, : shape[0]]
    near = rounded(x_TI * weight.balance, top) / weight.balance
    close(got - bias_O, near @ weight_OI.T, 1e-2)  # weights are rounded too
    close(got, x_TI @ weight_OI.T + bias_O, 2.6 / top)


@native
def test_an_outlier_does_not_blur_its_neighbours(kernels: Kernels) -> None:
    x_TI, weight_OI = torch.randn(9, 256), torch.randn(32, 256)
    x_TI[::2, 40] = 0.3 * kernels.library.byte_range.top_activation**2  # of two bytes some is left for the others
    weight_OI[:, 40] = 0
    close(kernels.multiply(x_TI, packed(kernels, weight_OI), None), x_TI @ weight_OI.T, 2e-2)


@native
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_bytes_do_not_saturate(kernels: Kernels, sign: int) -> None:
    weight_OI = torch.tensor([1.0, -1.0]).repeat(8)[:, None].expand(16, 1536)
    x_TI = torch.full((7, 1536), sign * 3.0)
    close(kernels.multiply(x_TI, packed(kernels, weight_OI), None), x_TI @ weight_OI.T, 1e-2)  # an overflow would cost half


@native
@pytest.mark.parametrize("together", [(0, 1, 4, 5), (2, 3, 6, 7), (24, 25, 28, 29)])
def test_the_largest_sums_do_not_saturate(kernels: Kernels, together: tuple[int, ...]) -> None:
    """The four weights that are added up in sixteen bits are a group's largest, and each activation is as large as it gets."""
    weight_OI, x_TI = torch.randn(16, 32) / 100, torch.randn(5, 32) / 100
    weight_OI[:, together], x_TI[:, together] = 1.0, 1.0
    weight_OI[1::2] *= -1
    close(kernels.multiply(x_TI, packed(kernels, weight_OI), None), x_TI @ weight_OI.T, 2e-2)


@native
def test_rows_and_columns_of_zeros(kernels: Kernels) -> None:
    weight_OI, x_TI = torch.randn(32, 64), torch.randn(5, 64)
    weight_OI[:, 7], x_TI[2] = 0, 0
    got = kernels.multiply(x_TI, packed(kernels, weight_OI), None)
    close(got, x_TI @ weight_OI.T, 2e-2)
    assert not got[2].any()


@native
@pytest.mark.parametrize("outputs", [16, 48, 160])
def test_a_row_does_not_see_its_company(kernels: Kernels, outputs: int) -> None:
    weight_OI, x_TI = torch.randn(outputs, 96), torch.randn(37, 96) ** 5
    for multiply in (
        lambda x: kernels.multiply(x, packed(kernels, weight_OI), None),
        lambda x: kernels.linear(x, pack(weight_OI), None),
    ):
        assert torch.equal(multiply(x_TI), torch.cat([multiply(x_TI[t : t + 1]) for t in range(37)]))


@native
def test_bf16_matrices_side_by_side(kernels: Kernels) -> None:
    weight_OI, x_TI, bias_O = torch.randn(272, 64), torch.randn(27, 64), torch.randn(272)
    want = x_TI.bfloat16().float() @ weight_OI.bfloat16().float().T + bias_O
    close(kernels.linear(x_TI, pack(weight_OI), bias_O), want, 1e-5)


LENGTHS = [1, 16, 17, 63, 3, 300, 530]
SIGHTS = [(4, 4, 16, Full()), (6, 2, 32, Neighbourhood(distance=20)), (2, 1, 80, Full()), (3, 3, 64, Neighbourhood(distance=300))]


def heads(h: int, g: int, d: int, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Strided, as they come from one joint projection."""
    return torch.randn(sum(lengths), h + 2 * g, d).split((h, g, g), 1)  # type: ignore[return-value]


def by_sentence(spec: Attention, q: Tensor, k: Tensor, v: Tensor, lengths: list[int]) -> Tensor:
    parts = zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
    return torch.cat([attend(spec, *part) for part in parts])


@native
@pytest.mark.parametrize(("h", "g", "d", "mask"), SIGHTS, ids=str)
def test_attention_equals_the_reference(kernels: Kernels, h: int, g: int, d: int, mask: Mask) -> None:
    spec, batch = Attention(heads=h, kv_heads=g, head_dim=d, mask=mask), whole(LENGTHS)
    q, k, v = heads(h, g, d, LENGTHS)
    got = WholeAttention(kernels, spec)(q, k, v, batch)
    close(got, by_sentence(spec, q, k, v, LENGTHS), 2e-2)  # bf16


@native
@pytest.mark.parametrize(("h", "g", "d", "mask"), SIGHTS, ids=str)
def test_attention_of_a_sentence_alone(kernels: Kernels, h: int, g: int, d: int, mask: Mask) -> None:
    leaf = WholeAttention(kernels, Attention(heads=h, kv_heads=g, head_dim=d, mask=mask))
    q, k, v = heads(h, g, d, LENGTHS)
    parts = zip(*(x.split(LENGTHS) for x in (q, k, v)), LENGTHS, strict=True)
    alone = torch.cat([leaf(*part, whole([length])) for *part, length in parts])  # type: ignore[arg-type]
    assert torch.equal(leaf(q, k, v, whole(LENGTHS)), alone)


@native
def test_large_scores(kernels: Kernels) -> None:
    spec = Attention(heads=2, kv_heads=2, head_dim=32, mask=Full(), scale=1.0)
    q, k, v = heads(2, 2, 32, [70])
    q, k = (20 * x.bfloat16().float() for x in (q, k))
    close(WholeAttention(kernels, spec)(q, k, v, whole([70])), by_sentence(spec, q, k, v, [70]), 2e-2)


@pytest.mark.parametrize(("h", "g", "d", "mask"), [*SIGHTS, (2, 2, 20, Full())], ids=str)
def test_the_torch_twin(h: int, g: int, d: int, mask: Mask) -> None:
    spec = Attention(heads=h, kv_heads=g, head_dim=d, mask=mask)
    q, k, v = heads(h, g, d, LENGTHS)
    got = TorchAttention(spec, Squares())(q, k, v, whole(LENGTHS))
    close(got, by_sentence(spec, q, k, v, LENGTHS), 1e-5)


@native
@pytest.mark.parametrize("keep", [False, True])
def test_a_recording_joins_neighbours(kernels: Kernels, keep: bool) -> None:
    """What passes between them is kept only where somebody else reads it."""
    x, y, weight, bias = torch.randn(40, 64), torch.randn(40, 64), torch.rand(64), torch.randn(64)
    up, down = packed(kernels, torch.randn(96, 64)), packed(kernels, torch.randn(64, 96))

    def step() -> Tensor:
        total = kernels.add(x, y)
        z = kernels.layer_norm(total, weight, bias, 1e-5)
        z = kernels.multiply(kernels.activate(kernels.multiply(z, up, None), "gelu"), down, None)
        return kernels.add(total, z) if keep else z

    tape, want = kernels.record(step), step()
    assert torch.equal(tape.replay(), want)
    codes = [op.code for op in tape._ops]
    assert codes.count(ADD) == keep and codes.count(LAYER_NORM) == 1 and codes.count(BALANCE) == 2 and len(codes) == 5 + keep
    x.add_(1)
    want = step()
    assert torch.equal(tape.replay(), want)
