"""The compiled CPU kernels against their twins in plain torch, and what only they promise: a row's bits depend on nothing but the row."""

import random
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.embedded.kernels.library import Library, levels
from engine.embedded.kernels.packing import LOW_TOO, SIXTEEN, pack, pad_inputs
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.latent import PackedHeads
from engine.embedded.native.linear import PackedEmbedding, PackedLinear, Table
from engine.embedded.native.ops import ACTIVATION, Kernels
from engine.embedded.native.supports import supports
from engine.embedded.on_torch.linear import quantized
from engine.embedded.step.capture import NotRecordable
from models import ops
from models.batch import Batch
from models.build import build
from models.quant import Grouped, concatenate, quantize
from models.reference import Reference, whole
from models.spec import (
    MLP,
    Alibi,
    Arch,
    Attention,
    Causal,
    Chunked,
    Clamped,
    Fixed,
    GroupedWindow,
    LatentAttention,
    Layer,
    Mask,
    Mixer,
    Neighbourhood,
    Norm,
    QKNorm,
    Rope,
    Strided,
    Temperature,
    Window,
    groups,
)

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
WIDTH = 40  # pages per sequence


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=levels())
def library(request: pytest.FixtureRequest) -> Library:
    """At each instruction set that the processor has."""
    library = Library.open(2, request.param)
    assert library is not None and library.level == request.param
    return library


@pytest.fixture
def kernels(library: Library) -> Kernels:
    return Kernels(library)


def close(got: Tensor, want: Tensor, tolerance: float) -> None:
    error = (got - want).abs().max().item() / want.abs().max().item()
    assert error < tolerance, f"off by {error:.2e} of the largest value"


@pytest.mark.parametrize("tokens", [1, 16, 63])
@pytest.mark.parametrize("width", [96, 6, 42])
def test_small_operations_equal_torch(kernels: Kernels, tokens: int, width: int) -> None:
    x, y = torch.randn(tokens, width + 8)[:, :width], torch.randn(tokens, width + 3)[:, :width]  # as a matrix's padding leaves them
    weight, bias = torch.rand(width), torch.randn(width)
    close(kernels.rms_norm(x, weight, 1e-5), ops.rms_norm(x, weight, 1e-5), 1e-6)
    close(kernels.rms_norm(x, None, 1e-5), ops.rms_norm(x, None, 1e-5), 1e-6)
    close(kernels.layer_norm(x, weight, bias, 1e-5), ops.layer_norm(x, weight, bias, 1e-5), 1e-6)
    close(kernels.layer_norm(x, None, None, 1e-5), ops.layer_norm(x, None, None, 1e-5), 1e-6)
    close(kernels.add(x, y), x + y, 1e-7)
    close(kernels.scale(x, 2.5), x * 2.5, 1e-7)
    close(kernels.softcap(x * 9, 2.5), ops.softcap(x * 9, 2.5), 1e-6)
    for activation in ACTIVATION:
        close(kernels.gated(x * 4, activation), ops.gated(x * 4, activation), 1e-6)
        close(kernels.activate(x * 4, activation), ops.activate(x * 4, activation), 1e-6)
    close(kernels.gated(x * 4, Clamped(limit=2.5)), ops.gated(x * 4, Clamped(limit=2.5)), 1e-6)


def test_logits_of_a_large_vocabulary(kernels: Kernels) -> None:
    x_SY = torch.randn(3, 9001)
    close(kernels.scale(x_SY, 0.5), x_SY * 0.5, 1e-7)
    close(kernels.softcap(x_SY, 0.5), ops.softcap(x_SY, 0.5), 1e-6)


@pytest.mark.parametrize(("size", "rotated"), [(64, 32), (64, 64), (42, 42), (42, 10), (6, 4)])
def test_strided_heads(kernels: Kernels, size: int, rotated: int) -> None:
    q_THK, _ = torch.randn(7, 6, size).split((4, 2), 1)
    table_PR, positions_T = torch.randn(50, rotated), torch.randint(0, 50, (7,))
    close(kernels.rotate(q_THK, table_PR, positions_T), ops.rotate(q_THK, table_PR, positions_T), 1e-6)
    close(kernels.clamp(q_THK, 0.7), q_THK.clamp(-0.7, 0.7), 1e-7)
    heat = Temperature(floor=8.0, scale=0.3)
    close(kernels.heat(q_THK, heat, positions_T), ops.heat(q_THK, heat, positions_T), 1e-6)
    for weight in (torch.rand(size), torch.rand(4, size)):
        close(kernels.rms_norm(q_THK, weight, 1e-6), ops.rms_norm(q_THK, weight, 1e-6), 1e-6)
        close(kernels.layer_norm(q_THK, weight, None, 1e-6), ops.layer_norm(q_THK, weight, None, 1e-6), 1e-6)


def rounded_like_the_kernel(x_TI: Tensor) -> Tensor:
    """Groups of 32 in 8 bits, or in 16 where their largest value is beyond 4 times the row's root mean square."""
    x_TGS = x_TI.unflatten(1, (-1, 32))
    top = x_TGS.abs().amax(-1, keepdim=True)
    hot = top > 4 * x_TI.square().mean(-1).sqrt()[:, None, None]
    step = torch.where(top == 0, 1, top) / torch.where(hot, 127 * 256, 127)
    return (torch.round(x_TGS / step) * step).flatten(1)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [(48, 32), (250, 576), (16, 1536)])
@pytest.mark.parametrize("tokens", [1, 7, 8, 63, 130])
@pytest.mark.parametrize("power", [1, 5])  # 5: a few values far beyond the others, as in real activations
def test_quantized_linear(kernels: Kernels, bits: int, shape: tuple[int, int], tokens: int, power: int) -> None:
    weight, x_TI = quantize(torch.randn(shape), bits), torch.randn(tokens, shape[1]) ** power
    got = kernels.linear(x_TI, pack(weight), None)[:, : shape[0]]
    close(got, rounded_like_the_kernel(x_TI) @ weight.dequantize().T, 2e-3)  # a tie may round the other way
    close(got, x_TI @ weight.dequantize().T, 2e-2)


def test_an_outlier_does_not_blur_its_neighbours(kernels: Kernels) -> None:
    x_TI = torch.randn(3, 256)
    x_TI[:, 40] = 500.0
    weight_OI = torch.randn(32, 256)
    weight_OI[:, 40] = 0
    weight = quantize(weight_OI, 8)
    close(kernels.linear(x_TI, pack(weight), None), x_TI @ weight.dequantize().T, 1e-2)


def test_bf16_linear_and_bias(kernels: Kernels) -> None:
    weight_OI, x_TI, bias_O = torch.randn(48, 64), torch.randn(9, 64), torch.randn(48)
    want = x_TI.bfloat16().float() @ weight_OI.bfloat16().float().T + bias_O
    close(kernels.linear(x_TI, pack(weight_OI), bias_O), want, 1e-5)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_bytes_do_not_saturate(kernels: Kernels, bits: int, sign: int) -> None:
    largest = 2**bits - 1
    q_OI = torch.tensor([[largest], [0], [largest - 1], [1]], dtype=torch.uint8).repeat(4, 64)
    scale_OG = torch.full((16, 2), 2.0**-bits, dtype=torch.float16)
    weight = Grouped(bits, q_OI, scale_OG, scale_OG * -(2 ** (bits - 1)))
    x_TI = torch.full((7, 64), sign * 127.0)
    close(kernels.linear(x_TI, pack(weight), None), x_TI @ weight.dequantize().T, 1e-6)


# bits, inputs in a group, low over scale (None: any), the format that this must be packed in (op.h)
FORMS = {
    "Q4_K": (4, 32, None, 4),
    "Q5_0": (8, 32, -16.0, 8),
    "Q5_K": (8, 32, None, 8 | LOW_TOO),
    "Q2_K": (4, 16, None, 4 | SIXTEEN),
    "Q6_K": (8, 16, -32.0, 8 | SIXTEEN),
    "joined": (8, 16, None, 8 | SIXTEEN | LOW_TOO),
}


def grouped(form: str, outputs: int, inputs: int) -> Grouped:
    bits, size, offset, _ = FORMS[form]
    top = 2**bits if offset is None else int(-2 * offset)
    scale_OG, groups = (torch.rand(outputs, inputs // size) + 0.1).half().float() / 64, (outputs, inputs // size)
    low_OG = scale_OG * offset if offset is not None else -top / 2 * scale_OG * (0.5 + torch.rand(groups))
    return Grouped(bits, torch.randint(0, top, (outputs, inputs), dtype=torch.uint8), scale_OG, low_OG)


@pytest.mark.parametrize("form", FORMS)
def test_every_grouped_form(kernels: Kernels, form: str) -> None:
    """A product, rows of an embedding, and rows that do not see their company."""
    weight, x_TI = grouped(form, 250, 192), torch.randn(37, 192) ** 3
    packed, dense = pack(weight), weight.dequantize()
    assert packed.format == FORMS[form][3]
    together = kernels.linear(x_TI, packed, None)
    close(together[:, :250], x_TI @ dense.T, 1e-2)
    assert torch.equal(together, torch.cat([kernels.linear(x_TI[t : t + 1], packed, None) for t in range(37)]))
    tokens_T = torch.tensor([0, 249, 3, 17, 16])
    close(kernels.embed(tokens_T, packed, 192), dense[tokens_T], 2**-10)


def test_parts_of_several_offsets_need_no_low(kernels: Kernels) -> None:
    """Q5_0 above Q8_0, as queries above values."""
    weight, x_TI = concatenate([grouped("Q5_0", 32, 64), quantize(torch.randn(16, 64) / 8, 8)]), torch.randn(9, 64)
    packed = pack(weight)
    assert packed.format == 8
    close(kernels.linear(x_TI, packed, None), x_TI @ weight.dequantize().T, 2e-2)


def test_a_4_bit_matrix_joined_to_an_8_bit_one_keeps_its_values(kernels: Kernels) -> None:
    weight, x_TI = concatenate([quantize(torch.rand(16, 64), 4), quantize(torch.randn(16, 64), 8)]), torch.randn(9, 64)
    close(kernels.linear(x_TI, pack(weight), None), x_TI @ weight.dequantize().T, 2e-2)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_embedding_reads_the_packed_rows(kernels: Kernels, bits: int) -> None:
    dense = torch.randn(70, 64)
    weight = quantize(dense, bits) if bits < 16 else dense.bfloat16()
    want = weight.dequantize() if isinstance(weight, Grouped) else weight.float()
    tokens_T = torch.tensor([0, 69, 3, 17, 16])
    close(kernels.embed(tokens_T, pack(weight), 64), want[tokens_T], 1e-6)


@pytest.mark.parametrize("bits", [None, 4, 8])
@pytest.mark.parametrize("shape", [(48, 42), (250, 6), (7, 100)])
def test_sizes_that_do_not_divide(kernels: Kernels, bits: int | None, shape: tuple[int, int]) -> None:
    weight_OI, bias_O, x_TI = torch.randn(shape), torch.randn(shape[0]), torch.randn(9, shape[1] + 5)[:, : shape[1]]
    matrix = PackedEmbedding(kernels, *shape, partial(quantized, bits=bits))
    matrix.assign("weight", weight_OI)
    near = 0.2 if bits == 4 else 0.03
    close(matrix.logits(x_TI), x_TI @ weight_OI.T, near)
    close(matrix(torch.tensor([shape[0] - 1, 0, 3])), weight_OI[[-1, 0, 3]], near)
    table = Table(kernels, *shape)
    table.assign("weight", weight_OI.bfloat16())
    assert torch.equal(table(torch.tensor([shape[0] - 1, 0])), weight_OI.bfloat16()[[-1, 0]].float())
    linear = PackedLinear(kernels, shape[1], shape[0], True, lambda weight: weight)
    linear.assign("weight", weight_OI)
    linear.assign("bias", bias_O)
    close(linear(x_TI), x_TI @ weight_OI.T + bias_O, 0.03)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_row_does_not_see_its_company(kernels: Kernels, bits: int) -> None:
    dense, x_TI = torch.randn(160, 96), torch.randn(37, 96)
    weight = pack(quantize(dense, bits) if bits < 16 else dense)
    together = kernels.linear(x_TI, weight, None)
    alone = torch.cat([kernels.linear(x_TI[t : t + 1], weight, None) for t in range(37)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("sizes", [(64, 32), (20, 9)])
def test_a_matrix_for_each_head(kernels: Kernels, bits: int, sizes: tuple[int, int]) -> None:
    inputs, outputs = sizes
    x_THI, weight_HOI = torch.randn(37, 3, inputs), torch.randn(3, outputs, inputs)
    prepare = partial(quantized, bits=bits if bits < 16 else None)
    held = prepare(pad_inputs(weight_HOI.flatten(0, 1)))
    held_OI = held if isinstance(held, Tensor) else held.dequantize()
    each, back = PackedHeads(kernels, 3, inputs, outputs, "each", prepare), PackedHeads(kernels, 3, outputs, inputs, "back", prepare)
    each.assign("weight", weight_HOI)
    back.assign("weight", weight_HOI.transpose(1, 2))
    got = each.each(x_THI)
    close(got, torch.einsum("thi,hoi->tho", x_THI, held_OI[:, :inputs].unflatten(0, (3, outputs))), 2e-2)
    assert torch.equal(back.back(x_THI), got)
    assert torch.equal(torch.cat([each.each(x_THI[t : t + 1]) for t in range(37)]), got)


class Pair:
    """One model with the same weights on both backends."""

    def __init__(self, library: Library, mixer: Mixer, dim: int = 64, hidden: int = 96) -> None:
        self.arch = Arch(dim=dim, vocab=200, layers=(Layer(mixer=mixer, ffn=MLP(hidden=hidden)),) * 2, tied=True, context=1024)
        assert supports(self.arch)
        (self.group,) = groups(self.arch)
        self.backend = NativeBackend(library, {self.group: 8 * WIDTH})
        self.native, self.reference = (build(self.arch, b, context=1024) for b in (self.backend, Reference()))
        self._same_weights()
        for leaf in self.backend.leaves.values():  # what nobody wrote must not be read
            leaf.pages.keys_PGKT.fill_(torch.nan)
            leaf.pages.values_PGTK.fill_(torch.nan)
        for leaf in self.backend.latents.values():
            leaf.latents_PTC.fill_(torch.nan)

    def _same_weights(self) -> None:
        twins: dict[str, Any] = dict(self.reference.named_modules())
        modules: dict[str, Any] = dict(self.native.named_modules())
        for name, module in modules.items():
            for field, shape in getattr(module, "fields", {}).items():
                value = torch.randn(shape) / (8 if len(shape) > 1 else 1)
                value = quantize(value, 8) if len(shape) == 2 and shape[1] % 32 == 0 else value
                module.assign(field, value)
                twins[name].assign(field, value)
        for (_, a), (_, b) in zip(self.native.named_parameters(), self.reference.named_parameters(), strict=True):
            b.data.copy_(a.data.uniform_(0.5, 1.5))

    def batch(self, rows: list[tuple[int, int, int]]) -> Batch:
        """rows: (sequence, tokens already seen, new tokens)"""
        starts = torch.tensor([0, *(n for _, _, n in rows)]).cumsum(0).int()
        positions = torch.cat([torch.arange(c, c + n) for _, c, n in rows])
        table = torch.full((len(rows), WIDTH + 9), -1, dtype=torch.int32)[:, :WIDTH]  # a part of a wider one, as the runner's
        table.copy_(torch.stack([torch.arange(s * WIDTH, (s + 1) * WIDTH) for s, _, _ in rows]))
        return Batch(positions, starts, torch.tensor([c for _, c, _ in rows]).int(), {self.group: table})

    def run(self, tokens: list[Tensor], rows: list[tuple[int, int, int]]) -> Tensor:
        x_TD = self.native(torch.cat([tokens[s][c : c + n] for s, c, n in rows]), self.batch(rows))
        return self.native.logits(x_TD)


def attention(heads: int, kv_heads: int, head_dim: int, mask: Mask | None = None, **more: Any) -> Attention:
    given = {"bias": True, "qk_norm": QKNorm(), "position": Rope(dim=head_dim)} | more
    return Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, mask=mask or Causal(), **given)


def latent(heads: int, *sizes: int, **more: Any) -> LatentAttention:
    """`sizes`: of latent, rotary key, a head's key without positions, a value."""
    r, p, n, v = sizes
    given = {"bias": True, "out_bias": True, "position": Rope(dim=p)} | more
    return LatentAttention(heads=heads, kv_rank=r, rope_dim=p, nope_dim=n, value_dim=v, **given)


PLAIN = attention(4, 2, 32)
LATENT = latent(4, 32, 16, 16, 32)
MIXERS = [
    PLAIN,
    attention(6, 1, 16, Window(size=20)),
    attention(4, 4, 80, Window(size=70), softcap=5.0),
    attention(3, 3, 128),
    attention(9, 3, 64, Window(size=300)),
    attention(4, 2, 32, Chunked(size=100)),
    attention(4, 2, 24, Chunked(size=7)),
    attention(4, 2, 16, Strided(local=9, stride=50)),
    attention(2, 2, 16, Strided(local=130, stride=3)),
    attention(4, 2, 16, Fixed(size=90, summary=5)),
    attention(2, 1, 16, Fixed(size=5, summary=2)),
    attention(6, 3, 20, GroupedWindow(sizes=(9, 300, 70))),
    attention(6, 3, 42, sinks=True, clip=2.0),
    attention(6, 6, 32, Window(size=40), sinks=True, position=Alibi()),
    attention(4, 1, 64, position=Alibi(scaled=True), softcap=4.0),
    attention(4, 2, 40, position=None, temperature=Temperature(floor=50.0, scale=0.3)),
    attention(4, 2, 40, qk_norm=QKNorm(over="each_head", norm=Norm(kind="layer_unbiased"))),
    attention(4, 2, 40, qk_norm=QKNorm(over="projection", norm=Norm(kind="layer"))),
    latent(3, 512, 64, 128, 128),  # DeepSeek's
    latent(40, 64, 32, 16, 16, q_rank=96, mask=Window(size=70)),  # MiniCPM3's heads: no multiple of those that are looked at together
    latent(2, 80, 32, 16, 48, mask=Window(size=300), position=None),
    latent(5, 23, 6, 9, 21, q_rank=14, norm=Norm(kind="layer"), scale=0.2),
]


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda m: f"{type(m).__name__}-{m.heads}-{type(m.mask).__name__}-{type(m.position).__name__}")
def test_a_model_equals_the_reference_however_it_is_cut(library: Library, mixer: Mixer) -> None:
    odd = (isinstance(mixer, Attention) and mixer.head_dim % 16) or (isinstance(mixer, LatentAttention) and mixer.kv_rank % 16)
    sizes = (50, 70) if odd else (64, 96)
    pair, lengths, rng = Pair(library, mixer, *sizes), [1, 63, 300, 530], random.Random(1)
    tokens = [torch.randint(0, 200, (n,)) for n in lengths]
    want = pair.reference.logits(pair.reference(torch.cat(tokens), whole(lengths)))
    at_once = pair.run(tokens, [(s, 0, n) for s, n in enumerate(lengths)])
    close(at_once, want, 0.05)  # bf16 pages and 8-bit activations
    done, parts = [0] * 4, [[] for _ in lengths]
    while any(d < n for d, n in zip(done, lengths, strict=True)):
        rows = [(s, d, min(rng.choice([1, 1, 5, 64, 150]), n - d)) for s, (d, n) in enumerate(zip(done, lengths, strict=True)) if d < n]
        rng.shuffle(rows)
        for (s, _, n), part in zip(rows, pair.run(tokens, rows).split([n for _, _, n in rows]), strict=True):
            parts[s].append(part)
            done[s] += n
    assert torch.equal(torch.cat([torch.cat(p) for p in parts]), at_once)


@pytest.mark.parametrize("mixer", [PLAIN, LATENT], ids=lambda m: type(m).__name__)
def test_a_recorded_step_follows_its_inputs(library: Library, mixer: Mixer) -> None:
    pair = Pair(library, mixer)
    tokens = [torch.randint(0, 200, (300,)) for _ in range(3)]
    pair.run(tokens, [(s, 0, 290) for s in range(3)])
    rows = [(s, 290 - 80 * s, 1) for s in range(3)]
    batch, ids = pair.batch(rows), torch.stack([tokens[s][c] for s, c, _ in rows])
    tape = pair.backend.kernels.record(lambda: pair.native.logits(pair.native(ids, batch)))
    assert torch.equal(tape.replay(), pair.run(tokens, rows))
    later = [(s, c + 1, n) for s, c, n in rows]
    ids.copy_(torch.stack([tokens[s][c] for s, c, _ in later]))
    batch.positions_T.add_(1)
    batch.cached_S.add_(1)
    assert torch.equal(tape.replay(), pair.run(tokens, later))


@pytest.mark.parametrize("mixer", [PLAIN, LATENT], ids=lambda m: type(m).__name__)
def test_one_recording_serves_all_smaller_steps(library: Library, mixer: Mixer) -> None:
    pair = Pair(library, mixer)
    tokens = [torch.randint(0, 200, (300,)) for _ in range(3)]
    rows = [(s, 0, 100) for s in range(3)]
    batch, ids = pair.batch(rows), torch.zeros(300, dtype=torch.int64)
    tape = pair.backend.kernels.record(lambda: pair.native(ids, batch))
    for step in ([(0, 0, 37)], [(0, 37, 3), (1, 0, 60)], [(0, 40, 1), (1, 60, 1), (2, 0, 290)], [(0, 41, 1), (1, 61, 1)]):
        total = sum(n for _, _, n in step)
        small = pair.batch(step)
        ids[:total] = torch.cat([tokens[s][c : c + n] for s, c, n in step])
        batch.positions_T[:total] = small.positions_T
        batch.starts_S1.fill_(total)[: len(step) + 1] = small.starts_S1
        batch.cached_S.zero_()[: len(step)] = small.cached_S
        batch.pages[pair.group][: len(step)] = small.pages[pair.group]
        assert torch.equal(pair.native.logits(tape.replay()[:total]), pair.run(tokens, step))


@pytest.mark.parametrize("foreign", [lambda y: y * 2, lambda y: y.add_(1), lambda y: y[y[0].argmax()], lambda y: y.tolist()])
def test_what_a_replay_would_miss_is_refused(library: Library, foreign) -> None:
    pair = Pair(library, PLAIN)
    ids, batch = torch.tensor([1, 2]), pair.batch([(0, 0, 1), (1, 0, 1)])
    with pytest.raises(NotRecordable):
        pair.backend.kernels.record(lambda: foreign(pair.native(ids, batch)))


@pytest.mark.parametrize(
    "mixer",
    [
        Attention(heads=2, kv_heads=2, head_dim=272),
        Attention(heads=2, kv_heads=2, head_dim=32, mask=Neighbourhood(distance=4)),
        latent(2, 1000, 32, 16, 16),
        latent(2, 32, 16, 16, 16, mask=Chunked(size=9)),
    ],
    ids=str,
)
def test_what_is_left_to_torch(mixer: Mixer) -> None:
    assert not supports(Arch(dim=64, vocab=9, layers=(Layer(mixer=mixer, ffn=MLP(hidden=64)),), context=8))
