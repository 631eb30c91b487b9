"""Stable Diffusion's UNet. N pictures, C channels, H high, W wide, M rows of each text of X columns, D numbers that say the time. Its
modules have the names of diffusers' UNet2DConditionModel as far as may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.parts.diffusion.conditioning import TimeEmbedding, TwoLayers, sinusoids
from models.parts.diffusion.convolution import Convolution
from models.parts.diffusion.group_norm import GroupNorm
from models.parts.diffusion.pixel_transformer import PixelTransformerPart
from models.parts.diffusion.resnet import KERNEL, Doubled, Halved, Resnet
from models.spec.diffusion import PixelTransformer, UNet

TIMES = 4  # how many times as wide as the first stage the embedding of the time is


@dataclass(frozen=True, eq=False)
class Measured:
    """Of a UNet that is `Sized`: pooled_NE, each text's vector, and sizes_N6."""

    pooled_NE: Tensor
    sizes_N6: Tensor


class UNetStack(nn.Module):
    """(x_NCHW, times_N, text_NMX) -> y_NCHW. `measured`: of one that is told sizes."""

    def __init__(self, spec: UNet, backend: Backend) -> None:
        super().__init__()
        self.ops, self.dtype = backend.ops, backend.dtype
        first, last = spec.down[0].width, spec.up[-1].width
        self.time_embedding = TimeEmbedding("time_embedding", spec.times, TIMES * first, backend)
        self.sized, told = spec.sized, TIMES * first
        self.add_embedding = None if spec.sized is None else TwoLayers("add_embedding", spec.sized.columns, told, backend)
        self.conv_in = Convolution((spec.channels, first), KERNEL, backend.dtype)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        kept = [first]  # channels of what is read again on the way up
        for i, stage in enumerate(spec.down):
            smaller = Halved(stage.width, backend, around=True) if i < len(spec.down) - 1 else None
            made = Blocks(f"down_blocks.{i}", spec, [kept[-1], *[stage.width] * (stage.blocks - 1)], stage.width, backend)
            self.down_blocks.append(Down(made, stage.transformer, smaller))
            kept += [stage.width] * (stage.blocks + (smaller is not None))
        width = kept[-1]
        self.mid_block = Middle(Blocks("mid_block", spec, [width, width], width, backend), spec.middle)
        for i, stage in enumerate(spec.up):
            larger = Doubled(stage.width, backend) if i < len(spec.up) - 1 else None
            inputs = [before + kept.pop() for before in (width, *[stage.width] * stage.blocks)]
            self.up_blocks.append(Up(Blocks(f"up_blocks.{i}", spec, inputs, stage.width, backend), stage.transformer, larger))
            width = stage.width
        self.conv_norm_out = GroupNorm(spec.groups, last, spec.eps)
        self.conv_out = Convolution((last, spec.out_channels), KERNEL, backend.dtype)

    def forward(self, x_NCHW: Tensor, times_N: Tensor, text_NMX: Tensor, measured: Measured | None = None) -> Tensor:
        given = Given(self.ops.activate(self._told(times_N, measured), "silu"), text_NMX.to(self.dtype))
        kept = [self.conv_in(x_NCHW.to(self.dtype))]
        for stage in self.down_blocks:
            kept += stage(kept[-1], given)
        x_NCHW = self.mid_block(kept[-1], given)
        for stage in self.up_blocks:
            x_NCHW = stage(x_NCHW, kept, given)
        return self.conv_out(self.ops.activate(self.conv_norm_out(x_NCHW), "silu"))

    def _told(self, times_N: Tensor, measured: Measured | None) -> Tensor:
        time_ND = self.time_embedding(times_N)
        if self.add_embedding is None or self.sized is None:
            return time_ND
        if measured is None:
            raise ValueError("this UNet is told a text's vector and sizes: measured is missing")
        waves_NC = sinusoids(self.sized.numbers, measured.sizes_N6.flatten()).unflatten(0, (len(times_N), -1)).flatten(1)
        return self.ops.add(time_ND, self.add_embedding(torch.cat([measured.pooled_NE.to(self.dtype), waves_NC.to(self.dtype)], 1)))


@dataclass(frozen=True, eq=False)
class Given:
    """time_ND: activated."""

    time_ND: Tensor
    text_NMX: Tensor


@dataclass(frozen=True)
class Blocks:
    """What a stage's modules are made with. `inputs`: channels that each of its residual blocks reads."""

    name: str
    spec: UNet
    inputs: Sequence[int]
    width: int
    backend: Backend

    def resnets(self) -> nn.ModuleList:
        told, spec = TIMES * self.spec.down[0].width, self.spec
        return nn.ModuleList(
            Resnet((inputs, self.width), spec.groups, spec.eps, self.backend, (f"{self.name}.resnets.{i}", told))
            for i, inputs in enumerate(self.inputs)
        )

    def transformers(self, transformer: PixelTransformer | None, count: int) -> nn.ModuleList:
        if transformer is None:
            return nn.ModuleList()
        sizes, groups = (self.width, self.spec.text), self.spec.groups
        return nn.ModuleList(
            PixelTransformerPart(f"{self.name}.attentions.{i}", transformer, sizes, groups, self.backend) for i in range(count)
        )


class Down(nn.Module):
    """All that its blocks return, each to be read again; the last one goes on."""

    def __init__(self, made: Blocks, transformer: PixelTransformer | None, resized: nn.Module | None) -> None:
        super().__init__()
        self.resnets, self.attentions = made.resnets(), made.transformers(transformer, len(made.inputs))
        self.resized = resized

    def forward(self, x_NCHW: Tensor, given: Given) -> list[Tensor]:
        returned = list[Tensor]()
        for i in range(len(self.resnets)):
            x_NCHW = _block(self, i, x_NCHW, given)
            returned.append(x_NCHW)
        return returned if self.resized is None else [*returned, self.resized(x_NCHW)]


class Up(nn.Module):
    """Each block reads what comes, beside the last of `kept`, which is taken from there."""

    def __init__(self, made: Blocks, transformer: PixelTransformer | None, resized: nn.Module | None) -> None:
        super().__init__()
        self.resnets, self.attentions = made.resnets(), made.transformers(transformer, len(made.inputs))
        self.resized = resized

    def forward(self, x_NCHW: Tensor, kept: list[Tensor], given: Given) -> Tensor:
        for i in range(len(self.resnets)):
            x_NCHW = _block(self, i, torch.cat([x_NCHW, kept.pop()], 1), given)
        return x_NCHW if self.resized is None else self.resized(x_NCHW)


class Middle(nn.Module):
    """A block, the transformer, a block."""

    def __init__(self, made: Blocks, transformer: PixelTransformer) -> None:
        super().__init__()
        self.resnets, self.attentions = made.resnets(), made.transformers(transformer, 1)

    def forward(self, x_NCHW: Tensor, given: Given) -> Tensor:
        return self.resnets[1](_block(self, 0, x_NCHW, given), given.time_ND)


def _block(stage: Down | Up | Middle, i: int, x_NCHW: Tensor, given: Given) -> Tensor:
    """Through the i-th residual block, and the transformer behind it if there is one."""
    x_NCHW = stage.resnets[i](x_NCHW, given.time_ND)
    return stage.attentions[i](x_NCHW, given.text_NMX) if len(stage.attentions) else x_NCHW
