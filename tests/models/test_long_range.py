"""Mixers that no library publishes, against layers written from their papers' formulas."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.build import build
from models.describe import cache_bytes, flops, parameters
from models.parts.recurrent.s4 import S4Part
from models.reference import Reference, whole
from models.spec import S4, Arch, Layer
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
