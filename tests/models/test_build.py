"""From spec to module: names, shared tables, arithmetic through `ops`, and the parts that no family here uses yet."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models import ops
from models.batch import Attend, LatentUp, Split
from models.build import build, build_encoder
from models.ops import Ops
from models.parts.ffn import FeedForward
from models.parts.norms import norm
from models.parts.positions import Rotary
from models.reference import HeadMatrices, Reference, absorbed, attend, expand, expanded, whole
from models.spec import MLP, Arch, Attention, Dense, Full, LatentAttention, Layer, Learned, Next, Norm, Pooled, QKNorm, Rope, Window

GLOBAL = Attention(heads=4, kv_heads=2, head_dim=8, position=Rope(dim=8), qk_norm=QKNorm())
LOCAL = replace(GLOBAL, mask=Window(size=4), position=Rope(dim=8, base=100.0))
LAYERS = tuple(Layer(mixer=mixer, ffn=MLP(hidden=24), placement="sandwich") for mixer in (GLOBAL, LOCAL, GLOBAL, LOCAL))
ARCH = Arch(dim=16, vocab=20, layers=LAYERS, context=32)


class Watching(Reference):
    """Notes the names it is asked for, and which of its operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[Any, ...]] = []
        self.ran: list[str] = []
        self.ops = Ops(**{field.name: self._watched(field.name) for field in fields(Ops)})

    def _watched(self, name: str) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            self.ran.append(name)
            return getattr(ops, name)(*args)

        return run

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: Split = "column") -> nn.Module:
        self.names.append((name, d_in, tuple(d_outs), split))
        return super().linear(name, d_in, d_outs, bias=bias, split=split)

    def attend(self, name: str, spec: Attention) -> Attend:
        self.names.append((name, spec))
        return super().attend(name, spec)


def test_what_a_layer_asks_for() -> None:
    backend = Watching()
    build(ARCH, backend, context=32)
    assert [asked for asked in backend.names if asked[0].startswith("layers.3.")] == [
        ("layers.3.mixer.qkv", 16, (32, 16, 16), "column"),
        ("layers.3.mixer", LOCAL),
        ("layers.3.mixer.out", 32, (16,), "row"),
        ("layers.3.ffn.up", 16, (24, 24), "column"),
        ("layers.3.ffn.down", 24, (16,), "row"),
    ]
    assert backend.names[-1] == ("head", 16, (20,), "column")


def test_names_are_module_paths() -> None:
    """What a backend hears is where the module stands, so that recipes and backends speak of the same things."""
    backend = Watching()
    model = build(ARCH, backend, context=32)
    for name, d_in, d_outs, _ in (asked for asked in backend.names if len(asked) == 4):
        assert model.get_buffer(f"{name}.weight").shape == (sum(d_outs), d_in)


def test_all_arithmetic_goes_through_ops() -> None:
    backend = Watching()
    model = build(ARCH, backend, context=32)
    model(torch.zeros(3, dtype=torch.int64), whole([3]))
    layers = len(LAYERS)
    assert {name: backend.ran.count(name) for name in set(backend.ran)} == {
        "rms_norm": layers * 6 + 1,
        "rotate": layers * 2,
        "gated": layers,
        "add": layers * 2,
    }


def test_one_table_per_rope() -> None:
    model = build(ARCH, Reference(), context=32)
    rotaries = {id(module) for module in model.modules() if isinstance(module, Rotary)}
    assert len(rotaries) == 2
    assert [tuple(b.shape) for name, b in model.named_buffers() if name.endswith("table_PR")] == [(32, 8)] * 2


def test_tied_has_no_head() -> None:
    backend = Watching()
    model = build(replace(ARCH, tied=True), backend, context=32)
    assert model.head is None and "head" not in {asked[0] for asked in backend.names}


def test_embedding_scale_and_softcap() -> None:
    arch = replace(ARCH, layers=(), tied=True, embed_scale=3.0, output=Next(softcap=2.0))
    model = build(arch, Reference(), context=32)
    weight = torch.randn(20, 16)
    model.get_buffer("embed.weight").copy_(weight)
    model.get_parameter("norm.weight").data.fill_(1)
    x = model(torch.tensor([4]), whole([1]))
    torch.testing.assert_close(x, ops.rms_norm(weight[4:5] * 3, torch.ones(16), 1e-6))
    torch.testing.assert_close(model.logits(x), 2 * torch.tanh(x @ weight.T / 2))


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh"])
def test_plain_mlp(activation: str) -> None:
    ffn = FeedForward("ffn", MLP(hidden=6, activation=activation, gated=False, bias=True), 4, Reference())  # type: ignore[arg-type]
    for name in ("up.weight", "up.bias", "down.weight", "down.bias"):
        ffn.get_buffer(name).normal_()
    x, weights = torch.randn(3, 4), dict(ffn.named_buffers())
    hidden = ops.ACTIVATIONS[activation](F.linear(x, weights["up.weight"], weights["up.bias"]))
    torch.testing.assert_close(ffn(x, whole([3])), F.linear(hidden, weights["down.weight"], weights["down.bias"]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layer_norm(dtype: torch.dtype) -> None:
    """Weights are float32 whatever the activations are."""
    ours = norm(Norm(kind="layer", eps=1e-3), 8, Ops())
    theirs = nn.LayerNorm(8, eps=1e-3)
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        theirs_p.data.normal_()
        ours_p.data.copy_(theirs_p)
    x = torch.randn(5, 8).to(dtype)
    torch.testing.assert_close(ours(x), theirs(x.float()).to(dtype))


def test_rms_norm() -> None:
    x, weight = torch.randn(5, 3, 8)[:, 1:], torch.randn(8)
    torch.testing.assert_close(ops.rms_norm(x, weight, 1e-3), F.rms_norm(x, (8,), weight, 1e-3))


BOTH_WAYS = Attention(heads=4, kv_heads=4, head_dim=4, mask=Full(), bias=True, out_bias=True)
POST = Layer(mixer=BOTH_WAYS, ffn=MLP(hidden=24, activation="gelu", gated=False), norm=Norm(kind="layer"), placement="post")
SENTENCES = replace(
    ARCH,
    layers=(POST, replace(POST, placement="pre_ffn", norm=Norm(kind="layer_unbiased"))),
    norm=None,
    embed_norm=Norm(kind="layer"),
    position=Learned(count=9),
    segments=2,
    output=Pooled(layers=(Dense(width=6, activation="tanh"),), normalize=True),
)


def test_what_an_encoder_asks_for() -> None:
    backend = Watching()
    model = build_encoder(SENTENCES, backend, context=9)
    assert [asked for asked in backend.names if not asked[0].startswith("layers.1.")] == [
        ("layers.0.mixer.qkv", 16, (16, 16, 16), "column"),
        ("layers.0.mixer", BOTH_WAYS),
        ("layers.0.mixer.out", 16, (16,), "row"),
        ("layers.0.ffn.up", 16, (24,), "column"),
        ("layers.0.ffn.down", 24, (16,), "row"),
        ("head.layers.0.linear", 16, (6,), "column"),
    ]
    assert {
        name: tuple(model.get_buffer(f"{name}.weight").shape) for name in ("embed", "positions", "segments", "head.layers.0.linear")
    } == {
        "embed": (20, 16),
        "positions": (9, 16),
        "segments": (2, 16),
        "head.layers.0.linear": (6, 16),
    }


def test_all_arithmetic_of_an_encoder_goes_through_ops() -> None:
    backend = Watching()
    model, batch = build_encoder(SENTENCES, backend, context=9), whole([3, 1])
    model.output(model(torch.zeros(4, dtype=torch.int64), batch), batch)
    assert {name: backend.ran.count(name) for name in set(backend.ran)} == {
        "add": 2 + 2 * 2,
        "layer_norm": 1 + 2 + 1,
        "activate": 2 + 1,
        "pool": 1,
        "normalize": 1,
    }


def test_one_is_not_the_other() -> None:
    with pytest.raises(ValueError, match="this model is an encoder"):
        build(SENTENCES, Reference(), context=9)
    with pytest.raises(ValueError, match="this model is a decoder"):
        build_encoder(ARCH, Reference(), context=9)


def test_an_encoder_puts_its_heads_numbers_out_in_float32() -> None:
    model, batch = build_encoder(SENTENCES, Reference(torch.bfloat16), context=9), whole([3, 1])
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.normal_()
    y_SE = model.output(model(torch.zeros(4, dtype=torch.int64), batch), batch)
    assert y_SE.dtype == torch.float32 and y_SE.shape == (2, 6)
    torch.testing.assert_close(y_SE.norm(dim=-1), torch.ones(2))


def test_layer_norm_without_a_bias() -> None:
    ours = norm(Norm(kind="layer_unbiased", eps=1e-3), 8, Ops())
    ours.get_parameter("weight").data.normal_()
    x = torch.randn(5, 8)
    torch.testing.assert_close(ours(x), F.layer_norm(x, (8,), ours.get_parameter("weight"), None, 1e-3))


def test_latent_attention_reads_the_same_in_both_forms() -> None:
    """Queries brought into the latents' space see what keys made of the latents show."""
    spec = LatentAttention(heads=3, kv_rank=10, rope_dim=4, nope_dim=6, value_dim=5, mask=Window(size=4))
    keys, values = HeadMatrices(3, 10, 6, torch.float64), HeadMatrices(3, 10, 5, torch.float64)
    up = LatentUp(keys, values)
    keys.weight.normal_()
    values.weight.normal_()
    q_THN, q_THP, c_TR, k_TP = (torch.randn(shape, dtype=torch.float64) for shape in ((9, 3, 6), (9, 3, 4), (9, 10), (9, 4)))
    made = attend(expanded(spec), torch.cat([q_THN, q_THP], -1), *expand(up, c_TR, k_TP))
    q_THC, latents_T1C = torch.cat([up.keys.back(q_THN), q_THP], -1), torch.cat([c_TR, k_TP], -1)[:, None]
    torch.testing.assert_close(up.values.each(attend(absorbed(spec), q_THC, latents_T1C, c_TR[:, None])), made)
