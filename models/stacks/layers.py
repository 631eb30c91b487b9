"""How a layer puts its norms around the mixer and the feed-forward part: one class per `Layer.placement`."""

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.ops import Ops
from models.parts.norms import norm
from models.spec import Layer


class Residual:
    """x + scale * y"""

    def __init__(self, spec: Layer, ops: Ops) -> None:
        self._scale, self._ops = spec.scale, ops

    def __call__(self, x_TD: Tensor, y_TD: Tensor) -> Tensor:
        return self._ops.add(x_TD, y_TD if self._scale == 1 else self._ops.scale(y_TD, self._scale))


class PreLayer(nn.Module):
    """x + f(norm(x)), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm1, self.mixer = norm(spec.norm, dim, ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return self.feed(self.mix(x_TD, batch), batch)

    def mix(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return self.add(x_TD, self.mixer(self.norm1(x_TD), batch))

    def feed(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return self.add(x_TD, self.ffn(self.norm2(x_TD), batch))


class PreFfnLayer(nn.Module):
    """x + mixer(x), then x + ffn(norm(x)): a first layer whose input comes out of a norm."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add, self.mixer = Residual(spec, ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.add(x_TD, self.mixer(x_TD, batch))
        return self.add(x_TD, self.ffn(self.norm2(x_TD), batch))


class PostLayer(nn.Module):
    """norm(x + f(x)), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.mixer, self.norm1 = mixer, norm(spec.norm, dim, ops)
        self.ffn, self.norm2 = ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.norm1(self.add(x_TD, self.mixer(x_TD, batch)))
        return self.norm2(self.add(x_TD, self.ffn(x_TD, batch)))


class SandwichLayer(nn.Module):
    """x + norm(f(norm(x))), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm1, self.mixer, self.norm1_post = norm(spec.norm, dim, ops), mixer, norm(spec.norm, dim, ops)
        self.norm2, self.ffn, self.norm2_post = norm(spec.norm, dim, ops), ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.add(x_TD, self.norm1_post(self.mixer(self.norm1(x_TD), batch)))
        return self.add(x_TD, self.norm2_post(self.ffn(self.norm2(x_TD), batch)))


class AfterLayer(nn.Module):
    """x + norm(f(x)), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.mixer, self.norm1_post = mixer, norm(spec.norm, dim, ops)
        self.ffn, self.norm2_post = ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.add(x_TD, self.norm1_post(self.mixer(x_TD, batch)))
        return self.add(x_TD, self.norm2_post(self.ffn(x_TD, batch)))


class ParallelLayer(nn.Module):
    """x + mixer(norm(x)) + ffn(norm(x)), where each has a norm of its own."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm1, self.mixer = norm(spec.norm, dim, ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        y_TD = self.add(x_TD, self.mixer(self.norm1(x_TD), batch))
        return self.add(y_TD, self.ffn(self.norm2(x_TD), batch))


class SharedParallelLayer(nn.Module):
    """x + mixer(norm(x)) + ffn(norm(x)), where both read the same norm's rows."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add, self.norm1 = Residual(spec, ops), norm(spec.norm, dim, ops)
        self.mixer, self.ffn = mixer, ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        y_TD = self.norm1(x_TD)
        return self.add(self.add(x_TD, self.mixer(y_TD, batch)), self.ffn(y_TD, batch))


class MixerLayer(nn.Module):
    """x + mixer(norm(x)), and no feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add, self.norm1, self.mixer = Residual(spec, ops), norm(spec.norm, dim, ops), mixer

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return self.add(x_TD, self.mixer(self.norm1(x_TD), batch))


class BlockLayer(nn.Module):
    """x + mixer(norm(x + out(block(x)))), and no feed-forward part."""

    def __init__(self, layer: MixerLayer, block: nn.Module, out: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add, self.norm1, self.mixer = layer.add, layer.norm1, layer.mixer
        self.block, self.block_out, self._ops = block, out, ops

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        read_TD = self._ops.add(x_TD, self.block_out(self.block(x_TD, batch)))
        return self.add(x_TD, self.mixer(self.norm1(read_TD), batch))


class FfnLayer(nn.Module):
    """x + ffn(norm(x)), and no mixer."""

    def __init__(self, spec: Layer, dim: int, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add, self.norm2, self.ffn = Residual(spec, ops), norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return self.add(x_TD, self.ffn(self.norm2(x_TD), batch))


class PreCrossLayer(nn.Module):
    """x + f(norm(x)), for the mixer, for what looks at an encoder's rows and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, cross: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm1, self.mixer = norm(spec.norm, dim, ops), mixer
        self.norm_cross, self.cross = norm(spec.norm, dim, ops), cross
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.add(x_TD, self.mixer(self.norm1(x_TD), batch))
        x_TD = self.add(x_TD, self.cross(self.norm_cross(x_TD), batch))
        return self.add(x_TD, self.ffn(self.norm2(x_TD), batch))


class ImageCrossLayer(nn.Module):
    """x + f(norm(x)), for what looks at images, and then for the feed-forward part of tokens that have one before them. Nothing changes in
    sequences without images."""

    def __init__(self, spec: Layer, dim: int, cross: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm_cross, self.cross = norm(spec.norm, dim, ops), cross
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        if (crossing := batch.crossing) is None:
            return x_TD
        y_TD = self.cross(self.norm_cross(x_TD), batch)
        x_TD = self.add(x_TD, y_TD.masked_fill(~crossing.looks_T[:, None], 0))
        y_TD = self.ffn(self.norm2(x_TD), batch)
        return self.add(x_TD, y_TD.masked_fill(~crossing.behind_T[:, None], 0))


class PostCrossLayer(nn.Module):
    """norm(x + f(x)), for the mixer, for what looks at an encoder's rows and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, cross: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.mixer, self.norm1 = mixer, norm(spec.norm, dim, ops)
        self.cross, self.norm_cross = cross, norm(spec.norm, dim, ops)
        self.ffn, self.norm2 = ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.norm1(self.add(x_TD, self.mixer(x_TD, batch)))
        x_TD = self.norm_cross(self.add(x_TD, self.cross(x_TD, batch)))
        return self.norm2(self.add(x_TD, self.ffn(x_TD, batch)))


class ReversibleLayer(nn.Module):
    """x_T2D holds two streams side by side: a + mixer(norm(b)), then b + ffn(norm(a)). Training may compute what went in
    from what comes out."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.add = Residual(spec, ops)
        self.norm1, self.mixer = norm(spec.norm, dim, ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_T2D: Tensor, batch: Batch) -> Tensor:
        a_TD, b_TD = (stream.contiguous() for stream in x_T2D.chunk(2, -1))
        a_TD = self.add(a_TD, self.mixer(self.norm1(b_TD), batch))
        b_TD = self.add(b_TD, self.ffn(self.norm2(a_TD), batch))
        return torch.cat([a_TD, b_TD], -1)
