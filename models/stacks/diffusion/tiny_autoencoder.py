"""TAESD: a picture to latents and back, by convolutions of one width. N pictures, C channels, H high, W wide. Its modules stand in lists as
diffusers', so that they have the same names."""

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.ops import Ops
from models.parts.diffusion.convolution import Convolution, Upsample
from models.spec import Activation
from models.spec.diffusion import TinyAutoencoder

KERNEL, REACH = 3, 3.0  # REACH: latents are bent to -REACH..REACH before they are decoded


class Activate(nn.Module):
    def __init__(self, ops: Ops, activation: Activation) -> None:
        super().__init__()
        self.ops = ops
        self.activation: Activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.ops.activate(x, self.activation)


class TinyAutoencoderStack(nn.Module):
    """Pictures are in -1..1, latents a denoiser's (models.spec.diffusion.Latents)."""

    def __init__(self, spec: TinyAutoencoder, backend: Backend) -> None:
        super().__init__()
        self.spec, self.dtype, self._ops = spec, backend.dtype, backend.ops
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.layers = nn.Sequential(*self._encoder())
        self.decoder.layers = nn.Sequential(*self._decoder())

    def encode(self, x_NCHW: Tensor) -> Tensor:
        z_NCHW = self.encoder.get_submodule("layers")((x_NCHW.to(self.dtype) + 1) / 2)
        return (z_NCHW - self.spec.latents.shift) * self.spec.latents.scale

    def decode(self, z_NCHW: Tensor) -> Tensor:
        z_NCHW = z_NCHW.to(self.dtype) / self.spec.latents.scale + self.spec.latents.shift
        return self.decoder.get_submodule("layers")(torch.tanh(z_NCHW / REACH) * REACH) * 2 - 1

    def _encoder(self) -> list[nn.Module]:
        layers, spec = list[nn.Module](), self.spec
        for stage, blocks in enumerate(spec.encoder):
            halved = stage > 0
            inputs = spec.width if halved else spec.channels
            layers.append(Convolution((inputs, spec.width), KERNEL, self.dtype, stride=2 if halved else 1, bias=not halved))
            layers += self._blocks(blocks)
        return [*layers, Convolution((spec.width, spec.latents.channels), KERNEL, self.dtype)]

    def _decoder(self) -> list[nn.Module]:
        spec = self.spec
        layers: list[nn.Module] = [
            Convolution((spec.latents.channels, spec.width), KERNEL, self.dtype),
            Activate(self._ops, spec.activation),
        ]
        for blocks in spec.decoder[:-1]:
            layers += [*self._blocks(blocks), Upsample(2), Convolution((spec.width, spec.width), KERNEL, self.dtype, bias=False)]
        return [*layers, *self._blocks(spec.decoder[-1]), Convolution((spec.width, spec.channels), KERNEL, self.dtype)]

    def _blocks(self, count: int) -> list[nn.Module]:
        return [Block(self.spec, self.dtype, self._ops) for _ in range(count)]


class Block(nn.Module):
    """relu(x + three convolutions of x)."""

    def __init__(self, spec: TinyAutoencoder, dtype: torch.dtype, ops: Ops) -> None:
        super().__init__()
        self.ops, width = ops, (spec.width, spec.width)
        between = Activate(ops, spec.activation)
        self.conv = nn.Sequential(
            Convolution(width, KERNEL, dtype), between, Convolution(width, KERNEL, dtype), between, Convolution(width, KERNEL, dtype)
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.ops.activate(self.conv(x_NCHW) + x_NCHW, "relu")
