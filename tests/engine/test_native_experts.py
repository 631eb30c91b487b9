"""Mixtures of experts on the compiled CPU kernels against their twins in plain torch: routers, experts of every format, and what only the
kernels promise: a row's bits depend on nothing but the row, and one recording serves any routing."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from engine.embedded.kernels.library import Library, levels
from engine.embedded.kernels.packing import pack_all
from engine.embedded.native.backend import NativeBackend
from engine.embedded.on_torch.linear import quantized
from models.ops import Ops
from models.parts.moe import MixtureOfExperts
from models.quant import Stack, Weight, dense, quantize
from models.reference import Experts, Reference, whole
from models.routing import route
from models.spec import Activation, Clamped, ExpertGroups, InputSigmoid, MoE, Router, Sigmoid, Softmax, SoftmaxOfTop, SparseMixer
from tests.engine.test_native import close, library  # noqa: F401, a fixture

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
DIM, HIDDEN, EXPERTS = 64, 96, 10
SOFTMAX = Softmax(renormalise=True)


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture
def backend(library: Library) -> NativeBackend:  # noqa: F811
    return NativeBackend(library, {})


def spec(router: Router = SOFTMAX, active: int = 3, experts: int = EXPERTS, **more: object) -> MoE:
    return MoE(experts=experts, active=active, hidden=HIDDEN, router=router, **more)  # type: ignore[arg-type]


ROUTERS = [
    Softmax(),
    Softmax(renormalise=True, scale=2.5),
    Softmax(groups=ExpertGroups(count=5, active=2)),
    Sigmoid(scale=2.5),
    Sigmoid(renormalise=False, groups=ExpertGroups(count=2, active=1, score="top2")),
    SoftmaxOfTop(),
    InputSigmoid(),
    SparseMixer(),
    SparseMixer(jitter=0.5),
]


@pytest.mark.parametrize("router", ROUTERS, ids=str)
@pytest.mark.parametrize("experts", [10, 70])
def test_routers_choose_as_torch_does(backend: NativeBackend, router: Router, experts: int) -> None:
    moe, logits_TE, correction_E = spec(router, experts=experts), torch.randn(77, experts) * 2, None
    if isinstance(router, Sigmoid):
        correction_E = torch.randn(experts) / 2  # decides, but is not weighed
    want, got = route(moe, logits_TE, correction_E), backend.ops.route(moe, logits_TE, correction_E)
    assert torch.equal(got[0].long(), want[0])
    torch.testing.assert_close(got[1], want[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("router", ROUTERS, ids=str)
def test_equal_scores_go_to_the_first_and_no_numbers_to_somebody(backend: NativeBackend, router: Router) -> None:
    logits_TE = torch.stack([torch.ones(EXPERTS), torch.full((EXPERTS,), torch.nan)])
    experts_TA, _ = backend.ops.route(spec(router), logits_TE, torch.zeros(EXPERTS) if isinstance(router, Sigmoid) else None)
    assert experts_TA[0].tolist() == [0, 1, 2]
    assert len({*experts_TA[1].tolist()}) == 3 and max(experts_TA[1].tolist()) < EXPERTS


def test_equal_groups_go_to_the_first(backend: NativeBackend) -> None:
    """Both groups are as good by their best two; only the last has the best expert."""
    moe = spec(Sigmoid(groups=ExpertGroups(count=2, active=1, score="top2")), active=2)
    logits_TE = torch.full((1, EXPERTS), -3.0)
    logits_TE[0, [1, 3, 6, 8]] = torch.tensor([1.0, 1.0, 1.0, 1.0])
    assert backend.ops.route(moe, logits_TE, torch.zeros(EXPERTS))[0].tolist() == [[1, 3]]


@pytest.mark.parametrize("outputs", [1, 7, 40])
def test_scores_and_the_shared_gate(backend: NativeBackend, outputs: int) -> None:
    x_TD, weight_ED, bias_E = torch.randn(37, DIM), torch.randn(outputs, DIM), torch.randn(outputs)
    for bias in (bias_E, None):
        close(backend.ops.score(x_TD, weight_ED, bias), Ops().score(x_TD, weight_ED, bias), 1e-6)
    alone = torch.cat([backend.ops.score(x_TD[t : t + 1], weight_ED, bias_E) for t in range(37)])
    assert torch.equal(backend.ops.score(x_TD, weight_ED, bias_E), alone)
    close(backend.ops.open(x_TD, alone[:, :1]), Ops().open(x_TD, alone[:, :1]), 1e-6)


def weight_of(shape: tuple[int, ...], bits: int) -> Weight:
    values = torch.randn(shape) / shape[-1] ** 0.5
    if bits == 16:
        return values.bfloat16()
    return Stack(shape, lambda e: quantize(values[e], bits))


class Twins:
    """The same experts on the kernels and in plain torch."""

    def __init__(self, backend: NativeBackend, moe: MoE, bits: int) -> None:
        self.native, self.reference = backend.experts("experts", moe, DIM), Experts(moe, DIM, torch.float32)
        for field, shape in self.reference.fields.items():
            weight = weight_of(shape, bits) if len(shape) == 3 else torch.randn(shape) / 4
            for twin in (self.native, self.reference):
                twin.assign(field, weight)  # type: ignore[operator]

    def run(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        return self.native(x_TD, experts_TA.int(), weights_TA)

    def compare(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> None:
        close(self.run(x_TD, experts_TA, weights_TA), self.reference(x_TD, experts_TA, weights_TA), 2e-2)  # 8-bit activations


def routed(tokens: int, active: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    experts_TA = torch.stack([torch.randperm(EXPERTS)[:active] for _ in range(tokens)])
    return torch.randn(tokens, DIM), experts_TA, torch.rand(tokens, active)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("tokens", [1, 16, 500])
@pytest.mark.parametrize("router", [Softmax(), InputSigmoid()], ids=str)
def test_experts_equal_torch(backend: NativeBackend, bits: int, tokens: int, router: Router) -> None:
    Twins(backend, spec(router, bias=bits == 8), bits).compare(*routed(tokens))


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", Clamped(limit=0.5)], ids=str)
def test_activations(backend: NativeBackend, activation: Activation) -> None:
    Twins(backend, spec(activation=activation, bias=True), 8).compare(*routed(9))
    x_T2F = torch.randn(9, 2 * HIDDEN) * 3
    close(backend.ops.gated(x_T2F, activation), Ops().gated(x_T2F, activation), 1e-6)


@pytest.mark.parametrize("bits", [8, None])
@pytest.mark.parametrize(("dim", "hidden"), [(64, 40), (72, 40), (40, 96)])
@pytest.mark.parametrize("router", [Softmax(), InputSigmoid()], ids=str)
def test_odd_sizes(library: Library, bits: int | None, dim: int, hidden: int, router: Router) -> None:  # noqa: F811
    moe = replace(spec(router, bias=True, activation=Clamped(limit=0.5)), hidden=hidden)
    backend = NativeBackend(library, {}, partial(quantized, bits=bits))
    native, twin = backend.experts("experts", moe, dim), Experts(moe, dim, torch.float32)
    for field, shape in twin.fields.items():
        value = torch.randn(shape) / shape[-1] ** 0.5
        native.assign(field, value)  # type: ignore[operator]
        twin.assign(field, value)
    for tokens in (1, 40):
        _, experts_TA, weights_TA = routed(tokens)
        x_TD = torch.randn(tokens, dim + 3)[:, :dim]
        close(native(x_TD, experts_TA.int(), weights_TA), twin(x_TD, experts_TA, weights_TA), 2e-2)
        close(backend.ops.open(x_TD, weights_TA[:, 1:2]), Ops().open(x_TD, weights_TA[:, 1:2]), 1e-6)
        weight_ED = torch.randn(7, dim)
        close(backend.ops.score(x_TD, weight_ED, None), x_TD @ weight_ED.T, 1e-6)


@pytest.mark.parametrize("bits", [4, 16])
def test_one_expert_takes_all_and_the_others_none(backend: NativeBackend, bits: int) -> None:
    x_TD, _, weights_TA = routed(300, active=1)
    Twins(backend, spec(active=1), bits).compare(x_TD, torch.full((300, 1), 7), weights_TA)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_row_does_not_see_its_company(backend: NativeBackend, bits: int) -> None:
    twins, (x_TD, experts_TA, weights_TA) = Twins(backend, spec(), bits), routed(300)
    together = twins.run(x_TD, experts_TA, weights_TA)
    alone = [twins.run(x_TD[t : t + 1], experts_TA[t : t + 1], weights_TA[t : t + 1]) for t in range(0, 300, 7)]
    assert torch.equal(together[::7], torch.cat(alone))


@pytest.mark.parametrize("router", [Softmax(), Sigmoid(), InputSigmoid()], ids=str)
def test_one_recording_serves_any_routing(backend: NativeBackend, router: Router) -> None:
    """Router, experts, shared expert and its gate."""
    moe = spec(router, bias=True, router_bias=True, shared=64, shared_gate=True)
    part, twin = (MixtureOfExperts("ffn", moe, DIM, each) for each in (backend, Reference()))
    tensors = dict(twin.named_buffers()) | dict(twin.named_parameters())
    for name, tensor in tensors.items():
        tensor.copy_(torch.randn(tensor.shape) / tensor.shape[-1] ** 0.5)
        holder, _, field = name.rpartition(".")
        leaf = part.get_submodule(holder)
        leaf.assign(field, tensor) if hasattr(leaf, "assign") else getattr(leaf, field).data.copy_(tensor)  # type: ignore[operator]
    rows_TD, live, everything = torch.zeros(300, DIM), torch.zeros(1, dtype=torch.int32), whole([300])

    def step() -> Tensor:
        backend.kernels.watch(live)
        return part(rows_TD, everything)

    tape = backend.kernels.record(step)
    for tokens in (1, 300, 16):
        rows_TD[:tokens] = x_TD = torch.randn(tokens, DIM)
        live.fill_(tokens)
        batch = whole([tokens])
        assert torch.equal(tape.replay()[:tokens], part(x_TD, batch))
        close(part(x_TD, batch), twin(x_TD, batch), 2e-2)


def test_experts_of_several_formats_are_packed_as_bf16() -> None:
    values_EOI = torch.randn(4, 32, 64)
    mixed = Stack((4, 32, 64), lambda e: quantize(values_EOI[e], 4 if e else 8))
    packed = pack_all(mixed, lambda part: part)
    assert packed.format == 16
    assert torch.equal(packed.data, pack_all(dense(mixed), lambda part: part).data)
