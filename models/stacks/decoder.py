"""The decoder: token ids in, one hidden row per token out; logits only for the rows that somebody asks for."""

from typing import cast

from torch import Tensor, nn

from models.batch import Backend, Batch, Embedding
from models.parts.norms import norm
from models.spec import Arch


class Decoder(nn.Module):
    def __init__(self, arch: Arch, layers: list[nn.Module], backend: Backend) -> None:
        super().__init__()
        self.arch, self.ops = arch, backend.ops
        self.embed = backend.embedding("embed", arch.vocab, arch.dim)
        self.layers = nn.ModuleList(layers)
        self.norm = norm(arch.norm, arch.dim, backend.ops)
        self.head = None if arch.tied else backend.linear("head", arch.dim, (arch.vocab,))

    def forward(self, tokens_T: Tensor, batch: Batch) -> Tensor:
        """x_TD after the final norm."""
        x_TD = self.embed(tokens_T)
        if self.arch.embed_scale != 1:
            x_TD = self.ops.scale(x_TD, self.arch.embed_scale)
        for layer in self.layers:
            x_TD = layer(x_TD, batch)
        return self.norm(x_TD)

    def logits(self, x_SD: Tensor) -> Tensor:
        """float32 logits_SY of rows that `forward` returned."""
        y_SY = cast(Embedding, self.embed).logits(x_SD) if self.head is None else self.head(x_SD).float()
        cap = self.arch.logit_softcap
        return y_SY if cap is None else (y_SY / cap).tanh() * cap
