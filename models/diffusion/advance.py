"""A step of samplers (models/diffusion/steps.py) on pictures. N pictures of C channels, H high and W wide; P steps before."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.diffusion.steps import PAST, Step


@dataclass(frozen=True, eq=False)
class Pictures:
    """x_NCHW: on their way; clean_NCHW: how they would look if what the model said last were true; past_NPCHW: what it said in the last
    steps that are remembered, the latest first. Zeros before it has said anything."""

    x_NCHW: Tensor
    clean_NCHW: Tensor
    past_NPCHW: Tensor


def begin(x_NCHW: Tensor) -> Pictures:
    """Before the first step."""
    return Pictures(x_NCHW, torch.zeros_like(x_NCHW), x_NCHW.new_zeros(len(x_NCHW), PAST, *x_NCHW.shape[1:]))


def advance(steps: Sequence[Step], now: Pictures, out_NCHW: Tensor, noise_NCHW: Tensor) -> Pictures:
    """Each picture by its own step. `out_NCHW`: what the model says of it. In float32."""

    def weight(name: str) -> Tensor:
        return torch.tensor([getattr(step, name) for step in steps], dtype=x.dtype, device=x.device)[..., None, None, None]

    x, out = now.x_NCHW, out_NCHW.to(now.x_NCHW.dtype)
    clean = weight("clean_x") * x + weight("clean_out") * out
    clean = clean.clamp(-weight("clip"), weight("clip"))
    new = weight("x") * x + weight("out") * out + weight("clean") * clean
    new = new + weight("before") * now.clean_NCHW + (weight("past") * now.past_NPCHW).sum(1) + weight("noise") * noise_NCHW
    past = torch.where(weight("remembers").bool()[:, None], torch.cat([out[:, None], now.past_NPCHW[:, :-1]], 1), now.past_NPCHW)
    return Pictures(new, clean, past)


def model_input(steps: Sequence[Step], x_NCHW: Tensor) -> Tensor:
    """What the model reads of each picture."""
    return x_NCHW * torch.tensor([step.scale for step in steps], dtype=x_NCHW.dtype, device=x_NCHW.device)[:, None, None, None]
