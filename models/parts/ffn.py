"""The feed-forward part: what each token does by itself. D model, F hidden."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.recurrent.token_shift import TokenShiftPart
from models.spec import MLP, Activation


class FeedForward(nn.Module):
    """x_TD -> x_TD. Gated (Shazeer 2020, arXiv 2002.05202): down(act(gate(x)) * up(x)); plain: down(act(up(x)))."""

    def __init__(self, name: str, spec: MLP, dim: int, backend: Backend) -> None:
        super().__init__()
        self.activation: Activation = spec.activation
        self.shift = TokenShiftPart(f"{name}.shift", dim, 1, backend) if spec.shift else None
        self.act = backend.ops.gated if spec.gated else backend.ops.activate
        d_outs = (spec.hidden, spec.hidden) if spec.gated else (spec.hidden,)
        self.up = backend.linear(f"{name}.up", dim, d_outs, bias=spec.bias)
        self.down = backend.linear(f"{name}.down", spec.hidden, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        if self.shift is not None:
            x_TD = self.shift(x_TD, batch)[0]
        return self.down(self.act(self.up(x_TD), self.activation))
