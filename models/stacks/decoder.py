"""The decoder: token ids in, and rows of images, one hidden row per token out; logits only for the rows that somebody asks for."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch, Embedding
from models.ops import Ops
from models.parts.norms import norm
from models.parts.positions import added
from models.spec import Arch, Next, beside_embedding, streams
from models.stacks.tiles import CrossVisionStack
from models.stacks.tower import TowerStack
from models.stacks.vision import VisionStack


class Bias(nn.Module):
    """y_SY -> y_SY: what is added to the logits of a head that has no matrix of its own."""

    def __init__(self, vocab: int, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.bias = nn.Parameter(torch.empty(vocab, dtype=torch.float32), requires_grad=False)

    def forward(self, y_SY: Tensor) -> Tensor:
        return self.ops.add(y_SY, self.bias.expand_as(y_SY))


class Decoder(nn.Module):
    """`beside`: the encoder of an encoder-decoder, or what reads the images of a vision-language model."""

    def __init__(
        self,
        arch: Arch,
        output: Next,
        layers: list[nn.Module],
        backend: Backend,
        beside: TowerStack | VisionStack | CrossVisionStack | None = None,
    ) -> None:
        super().__init__()
        self.arch, self.output, self.ops = arch, output, backend.ops
        self.reads_embedding = any(layer.block for layer in arch.layers)
        rows, self.streams = arch.embed_dim or arch.dim, streams(arch)
        self.embed = backend.embedding("embed", arch.vocab + arch.read_only, rows)
        self.widen = backend.linear("widen", rows, (arch.dim,), split="whole") if arch.embed_dim else None
        self.positions = added("positions", arch.position, beside_embedding(arch), arch.context, backend)
        self.embed_norm = norm(arch.embed_norm, arch.dim, backend.ops) if arch.embed_norm else None
        self.layers = nn.ModuleList(layers)
        self.norm = norm(arch.norm, arch.dim * self.streams, backend.ops)
        self.narrow = backend.linear("narrow", arch.dim, (rows,), split="whole") if arch.embed_dim else None
        self.head = None if arch.tied else backend.linear("head", rows * self.streams, (arch.vocab,), bias=output.bias)
        self.tied_head = Bias(arch.vocab, backend.ops) if arch.tied and output.bias else None
        self.encoder = beside if isinstance(beside, TowerStack) else None
        self.vision = beside if isinstance(beside, VisionStack | CrossVisionStack) else None

    def forward(self, tokens_T: Tensor, batch: Batch) -> Tensor:
        """Rows after the final norm, as wide as the embedding's, or all streams of them."""
        if self.encoder is not None and batch.encoding is not None and batch.encoding.read is not None:
            rows_TD = self.encoder(batch.encoding.read, batch.encoding.batch, self.embed)
            batch = replace(batch, encoding=replace(batch.encoding, rows_TD=rows_TD))
        x_TD = self.begin(with_images(self.rows(tokens_T), batch), batch)
        if self.reads_embedding:
            batch = replace(batch, embedded_TD=x_TD)
        return self.finish(self.through(self.layers, x_TD, batch))

    def rows(self, tokens_T: Tensor) -> Tensor:
        """x_TE: what the table says of each token."""
        x_TE = self.embed(tokens_T)
        return x_TE if self.arch.embed_scale == 1 else self.ops.scale(x_TE, self.arch.embed_scale)

    def begin(self, x_TE: Tensor, batch: Batch) -> Tensor:
        """What the first layer reads: rows in the model's width, with their positions."""
        x_TD = x_TE if self.widen is None else self.widen(x_TE)
        if self.positions is not None:
            x_TD = self.ops.add(x_TD, self.positions(batch.positions_T).to(x_TD.dtype))
        return x_TD if self.embed_norm is None else self.embed_norm(x_TD)

    def through(self, layers: Iterable[nn.Module], x_TD: Tensor, batch: Batch) -> Tensor:
        if self.streams > 1:
            x_TD = x_TD.repeat(1, self.streams)
        deep = () if batch.image_rows is None else batch.image_rows.deep
        for i, layer in enumerate(layers):
            x_TD = layer(x_TD, batch)
            if batch.image_rows is not None and i < len(deep):
                x_TD = x_TD.index_add(0, batch.image_rows.at_N, deep[i].to(x_TD.dtype))
        return x_TD

    def finish(self, x_TD: Tensor) -> Tensor:
        x_TD = self.norm(x_TD)
        return x_TD if self.narrow is None else self.narrow(x_TD)

    def logits(self, x_SD: Tensor) -> Tensor:
        """float32 logits_SY of rows that `forward` returned."""
        y_SY = cast(Embedding, self.embed).logits(x_SD) if self.head is None else self.head(x_SD).float()
        if self.tied_head is not None:
            y_SY = self.tied_head(y_SY)
        if self.output.scale != 1:
            y_SY = self.ops.scale(y_SY, self.output.scale)
        cap = self.output.softcap
        return y_SY if cap is None else self.ops.softcap(y_SY, cap)


def with_images(x_TE: Tensor, batch: Batch) -> Tensor:
    """Their rows in the places of some tokens'."""
    return x_TE if batch.image_rows is None else x_TE.index_copy(0, batch.image_rows.at_N, batch.image_rows.rows_ND.to(x_TE.dtype))
