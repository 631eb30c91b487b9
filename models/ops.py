"""The arithmetic between the matrices, in plain torch. A backend may replace any of it by something faster
(`dataclasses.replace(Ops(), rms_norm=...)`); these functions are the ground truth it is compared with.

Replacements keep the signatures, never write to their inputs, and return contiguous tensors of the input's dtype where
nothing else is said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from models.routing import route
from models.spec import Activation, Clamped, MoE, Temperature

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "tanh": torch.tanh,
}


def wide(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Over the last axis, in float32 (Zhang & Sennrich 2019, arXiv 1910.07467). x may have any leading axes and strides. `weight`:
    for x_THK of K numbers or a row of them for each head, as in `layer_norm`."""
    y = wide(x)
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight.float()).to(x.dtype)


def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Over the last axis, in float32 (Ba et al. 2016, arXiv 1607.06450). x may have any leading axes and strides."""
    if weight is not None and weight.dim() == 2:
        y = F.layer_norm(wide(x), (x.shape[-1],), None, None, eps) * weight
        return (y if bias is None else y + bias).to(x.dtype)
    scale, offset = (None if t is None else t.to(wide(x).dtype) for t in (weight, bias))
    return F.layer_norm(wide(x), (x.shape[-1],), scale, offset, eps).to(x.dtype)


def rotate(x_THK: Tensor, table_PR: Tensor, positions_T: Tensor) -> Tensor:
    """RoPE on the first R of K. Row p of `table_PR` (float32) is cos(p * f) for R/2 frequencies f, then sin(p * f);
    element i pairs with element i + R/2."""
    rot = table_PR.shape[1]
    cos, sin = table_PR[positions_T][:, None].chunk(2, -1)
    a, b = wide(x_THK[..., :rot]).chunk(2, -1)
    y = torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x_THK.dtype)
    return torch.cat([y, x_THK[..., rot:]], -1)


def gated(x_T2F: Tensor, activation: Activation) -> Tensor:
    """act(gate) * up, where x holds gate in its first half and up in its second."""
    gate, up = x_T2F.chunk(2, -1)
    match activation:
        case Clamped(limit=limit, alpha=alpha):
            gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
            return gate * torch.sigmoid(alpha * gate) * (up + 1)
        case name:
            return ACTIVATIONS[name](gate) * up


def activate(x_TF: Tensor, activation: Activation) -> Tensor:
    """Raises ValueError for an activation that needs a gate."""
    if isinstance(activation, Clamped):
        raise ValueError("the clamped activation needs a gate: gated must be true")
    return ACTIVATIONS[activation](x_TF)


def clamp(x_THK: Tensor, most: float) -> Tensor:
    """To -most..most."""
    return x_THK.clamp(-most, most)


def heat(x_THK: Tensor, spec: Temperature, positions_T: Tensor) -> Tensor:
    """Queries times their positions' factors."""
    factor_T = 1 + spec.scale * torch.log1p(((positions_T + 1) / spec.floor).floor())
    return (x_THK * factor_T[:, None, None]).to(x_THK.dtype)


def softcap(x_TD: Tensor, cap: float) -> Tensor:
    """Bent to -cap..cap."""
    return (x_TD / cap).tanh() * cap


def pool(x_TD: Tensor, starts_S1: Tensor, kind: str) -> Tensor:
    """float32 y_SD: one row for all rows of a sequence. `kind` is a models.spec.Pooling."""
    starts = starts_S1.tolist()
    return torch.stack([POOLINGS[kind](x_TD[a:b].float()) for a, b in pairwise(starts)])


def _weighted_mean(x_MD: Tensor) -> Tensor:
    """The n-th row counts n times (Muennighoff 2022, arXiv 2202.08904)."""
    weight_M = torch.arange(1, len(x_MD) + 1, dtype=x_MD.dtype, device=x_MD.device)
    return weight_M @ x_MD / weight_M.sum()


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda x_MD: x_MD[0],
    "max": lambda x_MD: x_MD.amax(0),
    "mean": lambda x_MD: x_MD.mean(0),
    "mean_but_first": lambda x_MD: x_MD[1:].mean(0),
    "mean_sqrt_len": lambda x_MD: x_MD.sum(0) / len(x_MD) ** 0.5,
    "weighted_mean": _weighted_mean,
    "last": lambda x_MD: x_MD[-1],
}


def normalize(y_SE: Tensor) -> Tensor:
    """Rows of length 1; one that is 0 stays it."""
    return F.normalize(y_SE, dim=-1)


def rows(table_YD: Tensor, rows_T: Tensor) -> Tensor:
    """x_TD: rows of a table."""
    return table_YD[rows_T]


def add(x_TD: Tensor, y_TD: Tensor) -> Tensor:
    return x_TD + y_TD


def add_scaled(x_TD: Tensor, y_TD: Tensor, scales_H: Tensor) -> Tensor:
    """x + scale * y, each scale being that of D / H neighbouring columns."""
    return x_TD + (y_TD.unflatten(1, (len(scales_H), -1)) * scales_H[:, None]).flatten(1)


def product(x_TD: Tensor, y_TD: Tensor, activation: Activation | None = None) -> Tensor:
    """x * y, or x * act(y), in float32."""
    return (wide(x_TD) * (wide(y_TD) if activation is None else activate(wide(y_TD), activation))).to(x_TD.dtype)


def softplus(x_TD: Tensor, bias_D: Tensor | None, least: float = 0.0, most: float | None = None) -> Tensor:
    """float32 log(1 + e^(x + bias)), not below `least` nor above `most`."""
    return F.softplus(wide(x_TD) if bias_D is None else wide(x_TD) + bias_D).clamp(least, most)


def sigmoid(x_TD: Tensor, factor: float = 1.0) -> Tensor:
    """float32 factor * sigmoid(x)"""
    return factor * wide(x_TD).sigmoid()


def scale(x_TD: Tensor, factor: float) -> Tensor:
    return x_TD * factor


def score(x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None) -> Tensor:
    """float32 logits_TE, whatever x is: ties and near ties decide which expert computes a token. Weight and bias are float32."""
    return F.linear(x_TD.float(), weight_ED, bias_E)


def open_gate(x_TD: Tensor, logits_T1: Tensor) -> Tensor:
    """x times the sigmoid of its row's logit."""
    return x_TD * logits_T1.sigmoid().to(x_TD.dtype)


@dataclass(frozen=True)
class Ops:
    rms_norm: Callable[[Tensor, Tensor | None, float], Tensor] = rms_norm
    layer_norm: Callable[[Tensor, Tensor | None, Tensor | None, float], Tensor] = layer_norm
    rotate: Callable[[Tensor, Tensor, Tensor], Tensor] = rotate
    gated: Callable[[Tensor, Activation], Tensor] = gated
    activate: Callable[[Tensor, Activation], Tensor] = activate
    rows: Callable[[Tensor, Tensor], Tensor] = rows
    add: Callable[[Tensor, Tensor], Tensor] = add
    add_scaled: Callable[[Tensor, Tensor, Tensor], Tensor] = add_scaled
    product: Callable[[Tensor, Tensor, Activation | None], Tensor] = product
    softplus: Callable[[Tensor, Tensor | None, float, float | None], Tensor] = softplus
    sigmoid: Callable[[Tensor, float], Tensor] = sigmoid
    scale: Callable[[Tensor, float], Tensor] = scale
    softcap: Callable[[Tensor, float], Tensor] = softcap
    clamp: Callable[[Tensor, float], Tensor] = clamp
    heat: Callable[[Tensor, Temperature, Tensor], Tensor] = heat
    score: Callable[[Tensor, Tensor, Tensor | None], Tensor] = score
    route: Callable[[MoE, Tensor, Tensor | None], tuple[Tensor, Tensor]] = route
    open: Callable[[Tensor, Tensor], Tensor] = open_gate
    pool: Callable[[Tensor, Tensor, str], Tensor] = pool
    normalize: Callable[[Tensor], Tensor] = normalize
