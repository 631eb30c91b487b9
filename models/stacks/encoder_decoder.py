"""What stands before a decoder that answers a whole input: the encoder that reads it.

The decoder (decoder.py) calls it for the inputs that come in a step; its layers with `cross` look at what came out.
"""

from torch import Tensor, nn

from models.batch import Backend, Encoding
from models.parts.frames import FrameEmbedding
from models.parts.norms import norm
from models.parts.positions import added
from models.spec import Frames, OwnEmbedding, SharedEmbedding, Tower


class TowerStack(nn.Module):
    """Inputs lie behind one another, as sentences do before an encoder (encoder.py)."""

    def __init__(self, spec: Tower, layers: list[nn.Module], backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops = spec, backend.ops
        self.embed = _embed(spec, backend)
        self.positions = added("encoder.positions", spec.position, spec.dim, spec.context, backend)
        self.embed_norm = norm(spec.embed_norm, spec.dim, backend.ops)
        self.layers = nn.ModuleList(layers)
        self.norm = norm(spec.norm, spec.dim, backend.ops)

    def forward(self, encoding: Encoding, shared: nn.Module) -> Tensor:
        """x_TD after the last norm. `shared`: the decoder's embedding."""
        batch = encoding.batch
        x_TD = (shared if self.embed is None else self.embed)(encoding.read)
        if self.spec.embed_scale != 1:
            x_TD = self.ops.scale(x_TD, self.spec.embed_scale)
        if self.positions is not None:
            x_TD = self.ops.add(x_TD, self.positions(batch.positions_T).to(x_TD.dtype))
        x_TD = self.embed_norm(x_TD)
        for layer in self.layers:
            x_TD = layer(x_TD, batch)
        return self.norm(x_TD)


def _embed(spec: Tower, backend: Backend) -> nn.Module | None:
    """None: the decoder's is read."""
    match spec.input:
        case SharedEmbedding():
            return None
        case OwnEmbedding(vocab=vocab):
            return backend.embedding("encoder.embed", vocab, spec.dim)
        case Frames() as frames:
            return FrameEmbedding("encoder.embed", frames, spec, backend)
