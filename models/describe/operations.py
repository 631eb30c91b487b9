"""Multiply-adds of one token."""

from models.describe.attended import attended
from models.describe.parameters import between, ffn_matrices, mixer_matrices, widen_bias
from models.spec import (
    Arch,
    Next,
    streams,
)


def flops(arch: Arch, tokens: int) -> int:
    """To compute one more token and its logits when `tokens` (itself included) are seen: 2 for each multiply-add of a
    matrix or of attention; norms, rotations and activations are left out, and of encoders what is done once for a
    whole sequence."""
    logits = arch.vocab * (arch.embed_dim or arch.dim) * streams(arch) if isinstance(arch.output, Next) else 0
    convolution = arch.ngrams.kernel * arch.dim**2 if arch.ngrams else 0
    matrices = (
        between(arch)
        - widen_bias(arch)
        + convolution
        + sum(mixer_matrices(x.mixer, arch.dim) + ffn_matrices(x.ffn, arch.dim) for x in arch.layers)
    )
    return 2 * (logits + matrices + sum(attended(layer.mixer, arch, tokens) for layer in arch.layers))
