"""Mixers that no library publishes, against layers written from their papers' formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.build import build
from models.describe import cache_bytes, flops, parameters
from models.parts.long_conv import LongConvPart
from models.parts.positions import Rotary
from models.parts.recurrent.linear import LinearAttentionPart
from models.parts.recurrent.s4 import S4Part
from models.reference import Reference, whole
from models.spec import S4, Arch, FixedDecay, ImplicitFilter, Layer, LinearAttention, LongConv, Norm, Rope
from tests.engine.tiny import fill
from tests.models.test_describe import counted


def causal(u_TC: Tensor, kernel_TC: Tensor) -> Tensor:
    """By frequencies of twice as many points."""
    size = 2 * len(u_TC)
    return torch.fft.irfft(torch.fft.rfft(u_TC, size, 0) * torch.fft.rfft(kernel_TC, size, 0), size, 0)[: len(u_TC)]


def test_s4_is_the_published_convolution() -> None:
    """arXiv 2206.11893, listing 1: K[l] = 2 Re(sum of C (exp(dt A) - 1) / A exp(dt A l)), y = gelu(K * u + D u), GLU(W y + b)."""
    part = fill(S4Part("mixer", S4(channels=12, state=7), 12, Reference(torch.float64)))
    part.step.data *= 0.05
    part.frequency.data *= torch.arange(7) * torch.pi
    u_TC = torch.randn(90, 12, dtype=torch.float64)
    a_CN, c_CN = torch.complex(part.decay.double(), part.frequency.double()), torch.view_as_complex(part.read.double())
    dta_CN = a_CN * part.step.double()[:, None]
    kernel_CT = 2 * torch.einsum("cn,cnt->ct", c_CN * (dta_CN.exp() - 1) / a_CN, (dta_CN[..., None] * torch.arange(90)).exp()).real
    y_TC = F.gelu(causal(u_TC, kernel_CT.T) + part.skip.double() * u_TC)
    want = F.glu(part.out(y_TC), -1)
    torch.testing.assert_close(part(u_TC, whole([90])), want)


def test_s4_by_hand() -> None:
    arch = Arch(dim=12, vocab=10, layers=(Layer(mixer=S4(channels=12, state=7), ffn=None),), context=64)
    assert parameters(arch) == counted(build(arch, Reference(), context=64))
    assert cache_bytes(arch, 1) == cache_bytes(arch, 64) == 12 * 7 * 2 * 4
    assert flops(arch, 64) == 2 * (12 * 24 + 12 * 7 * 6 + 12 * 10)


@pytest.mark.parametrize(("order", "bands", "depth", "shift"), [(2, 1, 2, 0.0), (3, 4, 0, 0.2), (4, 2, 1, 0.0)])
def test_long_convolutions_are_hyenas(order: int, bands: int, depth: int, shift: float) -> None:
    """arXiv 2302.10866, definition 3.1 and appendix D.3, on a sequence shorter than the filter."""
    spec = LongConv(channels=10, order=order, kernel=4, filter=ImplicitFilter(length=100, bands=bands, hidden=9, depth=depth, shift=shift))
    part = fill(LongConvPart("mixer", spec, 12, 100, Reference(torch.float64)))
    x_TD, w = torch.randn(70, 12, dtype=torch.float64), {name: t.double() for name, t in part.filter.named_buffers()}
    taps_LW = hyena_filter(spec.filter, w)[:70]
    conv_CW, bias_C = (t.double() for t in part.conv.parameters())
    z_CT = F.conv1d(F.pad(part.into(x_TD).T, (3, 0)), conv_CW[:, None], bias_C, groups=10 * (order + 1))
    *gates, v = z_CT.T.split(10, -1)
    for i, gate in enumerate(reversed(gates[1:])):
        u, own = gate * v, slice(10 * i, 10 * i + 10)
        v = causal(u, taps_LW[:, own]) + u * w["skip"][own]
    got, want = part(x_TD, whole([70])), part.out(gates[0] * v)
    assert (got - want).abs().max() < 1e-6 * want.abs().max()  # taps are float32


def hyena_filter(spec: ImplicitFilter, w: dict[str, Tensor]) -> Tensor:
    """h_t = (exp(-|decay| t) + shift) MLP(t, Re rho_k, Im rho_k), rho_k = exp(-2 pi i k t / L), with sines for activations."""
    t_L1 = torch.linspace(0, 1, spec.length, dtype=torch.float64)[:, None]
    rho_LK = torch.polar(
        torch.ones(()).double(),
        -2 * torch.pi * torch.arange(spec.length)[:, None] / spec.length * torch.linspace(1e-4, spec.bands - 1, spec.bands).double(),
    )
    h = torch.sin(w["frequency"] * F.linear(torch.cat([t_L1, rho_LK.real, rho_LK.imag], -1), w["into"], w["into_bias"]))
    for i in range(spec.depth):
        h = torch.sin(w["frequency"] * F.linear(h, w["inner"][i], w["inner_bias"][i]))
    return F.linear(h, w["out"]) * (torch.exp(-t_L1 * w["decay"].abs()) + spec.shift)


def test_long_convolutions_by_hand() -> None:
    mixer = LongConv(channels=10, order=3, kernel=4, filter=ImplicitFilter(length=64, hidden=9))
    arch = Arch(dim=12, vocab=10, layers=(Layer(mixer=mixer, ffn=None),), context=64)
    assert parameters(arch) == counted(build(arch, Reference(), context=64))
    assert cache_bytes(arch, 64) == 2 * (4 * 10 * 3 + 64 * 2 * 10)
    assert flops(arch, 64) == 2 * (12 * 40 + 10 * 12 + 4 * 10 * 4 + 2 * 10 * 64 + 12 * 10)


def test_retnet_is_the_published_parallel_form() -> None:
    """arXiv 2307.08621, equations 5 and 8: (Q K^T * D) V with D[n, m] = gamma ** (n - m), a group norm on each head, a Swish gate."""
    rope, heads, k, v = Rope(dim=8), 3, 8, 6
    spec = LinearAttention(
        heads=heads, key_heads=heads, key_dim=k, value_dim=v, decay=FixedDecay(), position=rope, norm=Norm(kind="rms_unweighted", eps=1e-6)
    )
    backend = Reference(torch.float64)
    part = fill(LinearAttentionPart("mixer", spec, 12, backend, Rotary(rope, 128, backend.ops)))
    x_TD, batch = torch.randn(90, 12, dtype=torch.float64), whole([90])
    q_TO, k_TO, v_TO, gate_TO = part.into(x_TD).split((heads * k, heads * k, heads * v, heads * v), 1)
    at_T, frequency_J = torch.arange(90.0, dtype=torch.float64), 10_000.0 ** (-torch.arange(4.0, dtype=torch.float64) / 4)
    turn_T1J = torch.polar(torch.ones(90, 1, 4, dtype=torch.float64), (at_T[:, None] * frequency_J)[:, None])
    q_THJ, k_THJ = (torch.complex(*t.unflatten(1, (heads, k)).chunk(2, -1)) * turn_T1J for t in (q_TO, k_TO))
    gamma_H = 1 - 2.0 ** (-5 - torch.arange(heads, dtype=torch.float64))
    decay_HTT = (gamma_H[:, None, None] ** (at_T[:, None] - at_T).clamp(min=0)).tril()
    scores_HTT = torch.einsum("thj,mhj->htm", q_THJ, k_THJ.conj()).real * k**-0.5 * decay_HTT
    o_THV = torch.einsum("htm,mhv->thv", scores_HTT, v_TO.unflatten(1, (heads, v)))
    o_TO = (o_THV * torch.rsqrt(o_THV.square().mean(-1, keepdim=True) + 1e-6)).flatten(1)
    torch.testing.assert_close(part(x_TD, batch), part.out(F.silu(gate_TO) * o_TO), rtol=1e-6, atol=1e-6)
