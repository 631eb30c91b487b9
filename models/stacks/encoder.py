"""The encoder: whole sentences, or images, in, one row of numbers for each out."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.head import Head
from models.parts.ngrams import NgramsPart
from models.parts.norms import norm
from models.parts.patches import PatchEmbedding
from models.parts.positions import added
from models.spec import Arch, Classifier, FirstTokens, GlobalTokens, Pooled, QuestionTokens, beside_embedding, streams
from models.stacks.stages import StageStack, halved


class Encoder(nn.Module):
    """A step's sentences or images lie behind one another (`Batch`), none of them padded and none of them empty."""

    def __init__(
        self, arch: Arch, output: Pooled | Classifier, layers: list[nn.Module], backend: Backend, before: Sequence[StageStack] = ()
    ) -> None:
        """`before`: of `Arch.before`."""
        super().__init__()
        self.arch, self.ops = arch, backend.ops
        rows, self.streams = arch.before[0].dim if arch.before else arch.embed_dim or arch.dim, streams(arch)
        self.embed = _embed(arch, rows, backend)
        self.positions = added("positions", arch.position, beside_embedding(arch), arch.context, backend)
        self.segments = backend.embedding("segments", arch.segments, rows) if arch.segments else None
        self.embed_norm = norm(arch.embed_norm, rows, backend.ops)
        self.widen = backend.linear("widen", rows, (arch.dim,), bias=True) if arch.embed_dim else None
        self.before, self.layers = nn.ModuleList(before), nn.ModuleList(layers)
        self.ngrams = NgramsPart("ngrams", arch.ngrams, arch.dim, backend) if arch.ngrams else None
        self.norm = norm(arch.norm, arch.dim * self.streams, backend.ops)
        self.head = Head(output, arch.dim * self.streams, backend)

    def forward(self, read: Tensor, batch: Batch) -> Tensor:
        """x_TD after the last norm: transformers' last_hidden_state. read: tokens_T, or the numbers of patches (models/images.py)."""
        return self.norm(deque(self.states(read, batch), maxlen=1).pop())

    def states(self, read: Tensor, batch: Batch) -> Iterator[Tensor]:
        """x_TD before the first layer, and then behind each; of an encoder in stages, in the last one."""
        x_TD = e_TD = self._embedded(read, batch)
        for stage in self.before:
            x_TD, batch = stage(x_TD, batch)
        if self.arch.global_tokens is not None:
            batch = replace(batch, marked_T=marked(self.arch.global_tokens, read, batch))
        if self.streams > 1:
            x_TD = x_TD.repeat(1, self.streams)
        yield x_TD
        for i, layer in enumerate(self.layers):
            x_TD = layer(x_TD, batch)
            if i == 0 and self.ngrams is not None:
                x_TD = self.ngrams(x_TD, e_TD, batch)
            yield x_TD

    def output(self, x_TD: Tensor, batch: Batch) -> Tensor:
        """float32 y_SE of rows that `forward` returned: vectors, or a classifier's logits. E is models.spec.width."""
        for _ in self.before:
            batch = halved(batch)
        return self.head(x_TD, batch)

    def _embedded(self, read: Tensor, batch: Batch) -> Tensor:
        x_TD = self.embed(read) if self.arch.patches is None else self.embed(read, batch)
        if self.arch.embed_scale != 1:
            x_TD = self.ops.scale(x_TD, self.arch.embed_scale)
        if self.segments is not None:
            kinds_T = torch.zeros_like(read) if batch.segments_T is None else batch.segments_T
            x_TD = self.ops.add(x_TD, self.segments(kinds_T))
        if self.positions is not None:
            x_TD = self.ops.add(x_TD, self.positions(batch.positions_T).to(x_TD.dtype))
        x_TD = self.embed_norm(x_TD)
        return x_TD if self.widen is None else self.widen(x_TD)


def _embed(arch: Arch, rows: int, backend: Backend) -> nn.Module:
    if arch.patches is None:
        return backend.embedding("embed", arch.vocab, rows)
    return PatchEmbedding("embed", arch.patches, rows, backend)


def marked(spec: GlobalTokens, tokens_T: Tensor, batch: Batch) -> Tensor:
    """bool_T: the tokens that `spec` speaks of."""
    match spec:
        case FirstTokens(count=count):
            return batch.positions_T < count
        case QuestionTokens(separator=separator):
            return torch.cat([(tokens_T[rows] == separator).cumsum(0) == 0 for rows, _ in batch.spans])
