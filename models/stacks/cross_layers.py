"""Layers of a decoder that also look at what an encoder has read: one class per `Layer.placement`."""

from torch import Tensor, nn

from models.batch import Batch
from models.parts.norms import norm
from models.spec import Layer
from models.stacks.layers import PostLayer, PreLayer


class PreCrossLayer(nn.Module):
    """x + f(norm(x)), for the mixer, for cross-attention and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, layer: PreLayer, cross: nn.Module) -> None:
        super().__init__()
        self.add, self.norm1, self.mixer, self.norm2, self.ffn = layer.add, layer.norm1, layer.mixer, layer.norm2, layer.ffn
        self.norm_cross, self.cross = norm(spec.norm, dim, layer.ops), cross

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.add(x_TD, self.mixer(self.norm1(x_TD), batch))
        x_TD = self.add(x_TD, self.cross(self.norm_cross(x_TD), batch))
        return self.add(x_TD, self.ffn(self.norm2(x_TD), batch))


class PostCrossLayer(nn.Module):
    """norm(x + f(x)), for the mixer, for cross-attention and then for the feed-forward part."""

    def __init__(self, spec: Layer, dim: int, layer: PostLayer, cross: nn.Module) -> None:
        super().__init__()
        self.add, self.norm1, self.mixer, self.norm2, self.ffn = layer.add, layer.norm1, layer.mixer, layer.norm2, layer.ffn
        self.norm_cross, self.cross = norm(spec.norm, dim, layer.ops), cross

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TD = self.norm1(self.add(x_TD, self.mixer(x_TD, batch)))
        x_TD = self.norm_cross(self.add(x_TD, self.cross(x_TD, batch)))
        return self.norm2(self.add(x_TD, self.ffn(x_TD, batch)))
