"""Multiply-adds of one token."""

from dataclasses import replace

from models.describe import block, cross, images
from models.describe.attended import attended
from models.describe.parameters import between, ffn_matrices, merges, mixer_matrices, widen_bias
from models.spec import (
    Arch,
    Writes,
    all_mixers,
    stages,
    streams,
)


def flops(arch: Arch, tokens: int) -> int:
    """To compute one more token and its logits when `tokens` (itself included) are seen: 2 for each multiply-add of a
    matrix or of attention; norms, rotations and activations are left out, and of encoders what is done once for a
    whole sequence; one whose rows a decoder looks at has read an input as long as the text. In stages, a row of the last one is all that it
    is made of: a fourfold of the rows of each stage before the next."""
    if arch.before:
        last, behind = flops(replace(arch, before=(), patches=None), tokens), len(arch.before)
        each = zip(stages(arch), merges(arch), strict=True)
        return last + sum(
            4 ** (behind - i) * flops(stage, tokens) + 2 * 4 ** (behind - i - 1) * merge[0] for i, (stage, merge) in enumerate(each)
        )
    logits = arch.vocab * (arch.embed_dim or arch.dim) * streams(arch) if isinstance(arch.output, Writes) else 0
    convolution = arch.ngrams.kernel * arch.dim**2 if arch.ngrams else 0
    matrices = between(arch) - widen_bias(arch) + convolution + sum(ffn_matrices(layer.ffn, arch.dim) for layer in arch.layers)
    matrices += images.operations(arch.patches, arch.dim)
    blocks = [layer.block for layer in arch.layers if layer.block]
    matrices += sum(ffn_matrices(b.ffn, arch.dim) + block.own(b, arch.dim) + block.second_half(b, arch.dim) for b in blocks)
    found = [mixer for layer in arch.layers for mixer in all_mixers(layer)]
    crossing = cross.operations(arch, tokens)
    return 2 * (logits + matrices + crossing + sum(mixer_matrices(mixer, arch.dim) + attended(mixer, arch, tokens) for mixer in found))
