"""Long convolutions with implicit filters (Hyena). C channels, P positions, B numbers that say where a position is, F hidden, W channels
of all filters of a layer together."""

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.recurrent.convolution import ShortConvolution
from models.quant import Weight, dense
from models.spec import ImplicitFilter, LongConv


class LongConvPart(nn.Module):
    """x_TD -> x_TD (arXiv 2302.10866, definition 3.1): the last gate comes first in the rows of `into`, values come last."""

    def __init__(self, name: str, spec: LongConv, dim: int, context: int, backend: Backend) -> None:
        super().__init__()
        self.parts, c = spec.order + 1, spec.channels
        self.into = backend.linear(f"{name}.into", dim, (c,) * self.parts, bias=True)
        self.conv = ShortConvolution(f"{name}.conv", self.parts * c, spec.kernel, True, backend)
        self.filter = Filter(spec.filter, spec.order - 1, c, context)
        self.convolve = [backend.convolve(name, spec) for _ in range(spec.order - 1)]
        self.out = backend.linear(f"{name}.out", c, (dim,), bias=True, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        last_TC, *gates, u_TC = self.conv(self.into(x_TD), batch).chunk(self.parts, -1)
        for gate_TC, convolve, taps_PC in zip(reversed(gates), self.convolve, self.filter.taps, strict=True):
            u_TC = convolve(gate_TC * u_TC, taps_PC, batch).to(x_TD.dtype)
        return self.out(last_TC * u_TC)


class Filter(nn.Module):
    """Implements models.batch.Leaf. The taps of a layer's filters, made once all that they are made of has been assigned. What a
    convolution adds to its result of the token itself (`skip`) is part of the first tap."""

    def __init__(self, spec: ImplicitFilter, count: int, channels: int, context: int) -> None:
        super().__init__()
        self.spec, self.context, f, w = spec, context, spec.hidden, count * channels
        into = {"into": (f, 2 * spec.bands + 1), "into_bias": (f,), "frequency": (f,)}
        inner = {"inner": (spec.depth, f, f), "inner_bias": (spec.depth, f)} if spec.depth else {}
        self.fields: dict[str, tuple[int, ...]] = {**into, **inner, "out": (w, f), "decay": (w,), "skip": (w,)}
        for field, shape in self.fields.items():
            self.register_buffer(field, torch.empty(shape, dtype=torch.float32))
        self._missing, self._count, self.taps = set(self.fields), count, list[Tensor]()

    def assign(self, field: str, value: Weight) -> None:
        self.get_buffer(field).copy_(dense(value))
        self._missing.discard(field)
        if not self._missing:
            self.taps = [taps_PC.contiguous() for taps_PC in self._taps().chunk(self._count, -1)]

    def _taps(self) -> Tensor:
        """float32 taps_PW, in double precision on the way."""
        h_PF, spec = features(self.spec, self.context).to(self.get_buffer("out").device), self.spec
        layers = [(self.get_buffer("into"), self.get_buffer("into_bias"))]
        if spec.depth:
            layers += zip(self.get_buffer("inner"), self.get_buffer("inner_bias"), strict=True)
        for weight_OI, bias_O in layers:
            h_PF = (self.get_buffer("frequency") * F.linear(h_PF, weight_OI.double(), bias_O.double())).sin()
        at_P1 = torch.arange(self.context, device=h_PF.device, dtype=torch.float64)[:, None] / (spec.length - 1)
        taps_PW = h_PF @ self.get_buffer("out").double().T * ((-self.get_buffer("decay").abs() * at_P1).exp() + spec.shift)
        taps_PW[0] += self.get_buffer("skip")
        return taps_PW.float()


def features(spec: ImplicitFilter, count: int) -> Tensor:
    """float64 z_PB of the first `count` positions: the place in the filter, then cosines, then sines that fall."""
    at_P1 = torch.arange(count, dtype=torch.float64)[:, None]
    angles = 2 * pi * at_P1 / spec.length * torch.linspace(1e-4, spec.bands - 1, spec.bands, dtype=torch.float64)
    return torch.cat([at_P1 / (spec.length - 1), angles.cos(), -angles.sin()], -1)
