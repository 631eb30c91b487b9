"""How a model's answers are denoised, as its architecture says."""

from dataclasses import dataclass

from models.spec import Arch, Attention, BlockCausal, Denoised, mixers


@dataclass(frozen=True)
class Scheme:
    """`mask`: the masked token. `shifted`: a token's logits are those of the row before it. `block`: tokens that see one another, with
    those before them; None: all see all."""

    mask: int
    shifted: bool
    block: int | None


def scheme_of(arch: Arch) -> Scheme | None:
    """None: answers are not denoised."""
    if not isinstance(arch.output, Denoised):
        return None
    masks = [mixer.mask for layer in arch.layers for mixer in mixers(layer) if isinstance(mixer, Attention)]
    block = next((mask.size for mask in masks if isinstance(mask, BlockCausal)), None)
    return Scheme(mask=arch.output.mask, shifted=arch.output.shifted, block=block)
