"""A transformer over the pixels of a picture, which also looks at a text. N pictures, C channels, H high, W wide, M rows of each text of X
columns; T pixels of all, D = C. Names are diffusers', but for matrices that are one here."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.attention import AttentionPart, Positions
from models.parts.diffusion.group_norm import GroupNorm
from models.parts.diffusion.pixel_attention import of_pictures
from models.parts.ffn import FeedForward
from models.parts.norms import norm
from models.spec import MLP, Attention, Full, Norm
from models.spec.diffusion import PixelTransformer

GROUP_EPS = 1e-6
NORM = Norm(kind="layer", eps=1e-5)


class PixelTransformerPart(nn.Module):
    """(x_NCHW, text_NMX) -> x_NCHW"""

    def __init__(self, name: str, spec: PixelTransformer, sizes: tuple[int, int], groups: int, backend: Backend) -> None:
        """`sizes`: C and X."""
        super().__init__()
        width, _ = sizes
        self.norm = GroupNorm(groups, width, GROUP_EPS)
        self.proj_in = backend.linear(f"{name}.proj_in", width, (width,), bias=True)
        layers = (TextLayer(f"{name}.transformer_blocks.{i}", spec.heads, sizes, backend) for i in range(spec.depth))
        self.transformer_blocks = nn.ModuleList(layers)
        self.proj_out = backend.linear(f"{name}.proj_out", width, (width,), bias=True)

    def forward(self, x_NCHW: Tensor, text_NMX: Tensor) -> Tensor:
        count, _, high, wide = x_NCHW.shape
        x_TD = self.proj_in(self.norm(x_NCHW).flatten(2).transpose(1, 2).flatten(0, 1))
        batch = of_pictures(count, high * wide, x_NCHW.device)
        for layer in self.transformer_blocks:
            x_TD = layer(x_TD, text_NMX, batch)
        return x_NCHW + self.proj_out(x_TD).view(count, high, wide, -1).permute(0, 3, 1, 2)


class TextLayer(nn.Module):
    """x_TD -> x_TD: attention, attention to the text, feed-forward part, each of what a norm returns and added to what was there."""

    def __init__(self, name: str, heads: int, sizes: tuple[int, int], backend: Backend) -> None:
        super().__init__()
        width, _ = sizes
        own = Attention(heads=heads, kv_heads=heads, head_dim=width // heads, mask=Full(), out_bias=True)
        self.norm1, self.norm2, self.norm3 = (norm(NORM, width, backend.ops) for _ in range(3))
        self.attn1 = AttentionPart(f"{name}.attn1", own, width, backend, Positions())
        self.attn2 = TextAttention(f"{name}.attn2", heads, sizes, backend)
        self.ff = FeedForward(f"{name}.ff", MLP(hidden=4 * width, activation="gelu", bias=True), width, backend)

    def forward(self, x_TD: Tensor, text_NMX: Tensor, batch: Batch) -> Tensor:
        x_TD = x_TD + self.attn1(self.norm1(x_TD), batch)
        x_TD = x_TD + self.attn2(self.norm2(x_TD), text_NMX)
        return x_TD + self.ff(self.norm3(x_TD), batch)


class TextAttention(nn.Module):
    """(x_TD, text_NMX, keep_NM) -> x_TD: every row of a picture looks at those of its text, or at those that are kept."""

    def __init__(self, name: str, heads: int, sizes: tuple[int, int], backend: Backend, *, bias: bool = False) -> None:
        super().__init__()
        width, columns = sizes
        self.heads = heads
        self.q = backend.linear(f"{name}.q", width, (width,), bias=bias)
        self.kv = backend.linear(f"{name}.kv", columns, (width, width), bias=bias)
        self.out = backend.linear(f"{name}.out", width, (width,), bias=True, split="row")

    def forward(self, x_TD: Tensor, text_NMX: Tensor, keep_NM: Tensor | None = None) -> Tensor:
        count, rows = text_NMX.shape[:2]
        k_NMD, v_NMD = self.kv(text_NMX.flatten(0, 1)).view(count, rows, -1).chunk(2, 2)
        q_NHQK, k_NHMK, v_NHMK = (self._heads(t) for t in (self.q(x_TD).view(count, -1, x_TD.shape[1]), k_NMD, v_NMD))
        may_N11M = None if keep_NM is None else keep_NM[:, None, None].bool()
        found_NHQK = F.scaled_dot_product_attention(q_NHQK, k_NHMK, v_NHMK, attn_mask=may_N11M)
        return self.out(found_NHQK.transpose(1, 2).flatten(0, 1).flatten(1))

    def _heads(self, t_NMD: Tensor) -> Tensor:
        return t_NMD.unflatten(2, (self.heads, -1)).transpose(1, 2)
