"""How a layer puts its norms around the mixer and the feed-forward part: one class per `Layer.placement`."""

from torch import Tensor, nn

from models.batch import Batch
from models.ops import Ops
from models.parts.norms import norm
from models.spec import Layer


class PreLayer(nn.Module):
    """x + f(norm(x)), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.norm1, self.mixer = norm(spec.norm, dim, ops), mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.ops.add(x_TD, self.mixer(self.norm1(x_TD), batch))
        return self.ops.add(x_TD, self.ffn(self.norm2(x_TD)))


class PreFfnLayer(nn.Module):
    """x + mixer(x), then x + ffn(norm(x)): a first layer whose input comes out of a norm."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.ops, self.mixer = ops, mixer
        self.norm2, self.ffn = norm(spec.norm, dim, ops), ffn

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.ops.add(x_TD, self.mixer(x_TD, batch))
        return self.ops.add(x_TD, self.ffn(self.norm2(x_TD)))


class PostLayer(nn.Module):
    """norm(x + f(x)), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.mixer, self.norm1 = mixer, norm(spec.norm, dim, ops)
        self.ffn, self.norm2 = ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.norm1(self.ops.add(x_TD, self.mixer(x_TD, batch)))
        return self.norm2(self.ops.add(x_TD, self.ffn(x_TD)))


class SandwichLayer(nn.Module):
    """x + norm(f(norm(x))), for the mixer and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, mixer: nn.Module, ffn: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.norm1, self.mixer, self.norm1_post = norm(spec.norm, dim, ops), mixer, norm(spec.norm, dim, ops)
        self.norm2, self.ffn, self.norm2_post = norm(spec.norm, dim, ops), ffn, norm(spec.norm, dim, ops)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.ops.add(x_TD, self.norm1_post(self.mixer(self.norm1(x_TD), batch)))
        return self.ops.add(x_TD, self.norm2_post(self.ffn(self.norm2(x_TD))))
