"""The autoencoder of latent diffusion: stages of residual blocks between a picture and its latents. N pictures, C channels, H high, W wide.
Its modules have the names of diffusers' AutoencoderKL."""

from itertools import pairwise

from torch import Tensor, nn

from models.batch import Backend
from models.parts.diffusion.convolution import Convolution
from models.parts.diffusion.group_norm import GroupNorm
from models.parts.diffusion.pixel_attention import PixelAttention
from models.parts.diffusion.resnet import KERNEL, Doubled, Halved, Resnet
from models.spec.diffusion import KlAutoencoder

EPS = 1e-6


class KlAutoencoderStack(nn.Module):
    """Pictures are in -1..1, latents a denoiser's (models.spec.diffusion.Latents)."""

    def __init__(self, spec: KlAutoencoder, backend: Backend) -> None:
        super().__init__()
        self.spec, self.dtype, latent = spec, backend.dtype, spec.latents.channels
        self.encoder, self.decoder = Encoder(spec, backend), Decoder(spec, backend)
        self.quant_conv = Convolution((2 * latent, 2 * latent), 1, backend.dtype) if spec.mixes_out else None
        self.post_quant_conv = Convolution((latent, latent), 1, backend.dtype) if spec.mixes_in else None

    def encode(self, x_NCHW: Tensor) -> Tensor:
        """The middle of the distribution that the encoder says latents have, whose width is left out."""
        z_NCHW = self.encoder(x_NCHW.to(self.dtype))
        z_NCHW = z_NCHW if self.quant_conv is None else self.quant_conv(z_NCHW)
        return (z_NCHW[:, : self.spec.latents.channels] - self.spec.latents.shift) * self.spec.latents.scale

    def decode(self, z_NCHW: Tensor) -> Tensor:
        z_NCHW = z_NCHW.to(self.dtype) / self.spec.latents.scale + self.spec.latents.shift
        return self.decoder(z_NCHW if self.post_quant_conv is None else self.post_quant_conv(z_NCHW))


class Encoder(nn.Module):
    def __init__(self, spec: KlAutoencoder, backend: Backend) -> None:
        super().__init__()
        widths = spec.widths
        self.conv_in = Convolution((spec.channels, widths[0]), KERNEL, backend.dtype)
        self.down_blocks = nn.ModuleList(
            Stage(spec, (before, after), spec.blocks, Halved(after, backend, around=False) if i < len(widths) - 1 else None, backend)
            for i, (before, after) in enumerate(pairwise([widths[0], *widths]))
        )
        self.mid_block = Middle("encoder.mid_block", spec, backend)
        self.last = Last(spec, widths[-1], 2 * spec.latents.channels, backend)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = self.conv_in(x_NCHW)
        for stage in self.down_blocks:
            x_NCHW = stage(x_NCHW)
        return self.last(self.mid_block(x_NCHW))


class Decoder(nn.Module):
    def __init__(self, spec: KlAutoencoder, backend: Backend) -> None:
        super().__init__()
        widths = spec.widths[::-1]
        self.conv_in = Convolution((spec.latents.channels, widths[0]), KERNEL, backend.dtype)
        self.mid_block = Middle("decoder.mid_block", spec, backend)
        self.up_blocks = nn.ModuleList(
            Stage(spec, (before, after), spec.blocks + 1, Doubled(after, backend) if i < len(widths) - 1 else None, backend)
            for i, (before, after) in enumerate(pairwise([widths[0], *widths]))
        )
        self.last = Last(spec, widths[-1], spec.channels, backend)

    def forward(self, z_NCHW: Tensor) -> Tensor:
        x_NCHW = self.mid_block(self.conv_in(z_NCHW))
        for stage in self.up_blocks:
            x_NCHW = stage(x_NCHW)
        return self.last(x_NCHW)


class Stage(nn.Module):
    """So many blocks, then a picture of another size; None: of the same."""

    def __init__(self, spec: KlAutoencoder, channels: tuple[int, int], blocks: int, resized: nn.Module | None, backend: Backend) -> None:
        super().__init__()
        inputs, outputs = channels
        self.resnets = nn.ModuleList(Resnet((inputs if i == 0 else outputs, outputs), spec.groups, EPS, backend) for i in range(blocks))
        self.resized = resized

    def forward(self, x_NCHW: Tensor) -> Tensor:
        for block in self.resnets:
            x_NCHW = block(x_NCHW)
        return x_NCHW if self.resized is None else self.resized(x_NCHW)


class Middle(nn.Module):
    """A block, attention between all pixels, and a block."""

    def __init__(self, name: str, spec: KlAutoencoder, backend: Backend) -> None:
        super().__init__()
        width = spec.widths[-1]
        self.resnets = nn.ModuleList(Resnet((width, width), spec.groups, EPS, backend) for _ in range(2))
        attentions = [PixelAttention(f"{name}.attentions.0", width, spec.groups, EPS, backend)] if spec.attention else []
        self.attentions = nn.ModuleList(attentions)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        first, second = self.resnets
        x_NCHW = first(x_NCHW)
        for attention in self.attentions:
            x_NCHW = attention(x_NCHW)
        return second(x_NCHW)


class Last(nn.Module):
    """conv(silu(norm(x)))"""

    def __init__(self, spec: KlAutoencoder, inputs: int, outputs: int, backend: Backend) -> None:
        super().__init__()
        self.ops, self.conv_norm_out = backend.ops, GroupNorm(spec.groups, inputs, EPS)
        self.conv_out = Convolution((inputs, outputs), KERNEL, backend.dtype)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.conv_out(self.ops.activate(self.conv_norm_out(x_NCHW), "silu"))
