"""Between pictures and the smaller ones, of more channels, that a denoiser works on (latents: Rombach et al. 2021, arXiv 2112.10752)."""

from models.spec.ffn import Named
from models.spec.value import spec


@spec
class Latents:
    """A denoiser's latent is (an autoencoder's - `shift`) * `scale`."""

    channels: int
    scale: float = 1.0
    shift: float = 0.0


@spec
class TinyAutoencoder:
    """TAESD (Bohan): stages of residual blocks of three convolutions, `width` channels everywhere; between stages the picture becomes half
    or twice as wide and high. `encoder` and `decoder` say how many blocks each stage has."""

    channels: int
    latents: Latents
    width: int
    encoder: tuple[int, ...] = (1, 3, 3, 3)
    decoder: tuple[int, ...] = (3, 3, 3, 1)
    activation: Named = "relu"

    @property
    def factor(self) -> int:
        """How many pixels wide and high one of the latent is."""
        return 2 ** (len(self.decoder) - 1)


@spec
class KlAutoencoder:
    """Stable Diffusion's (arXiv 2112.10752, appendix G): stages of `blocks` residual blocks, one for each of `widths`, in the decoder of
    one more; between stages the picture becomes half or twice as wide and high. `attention`: between all pixels in the middle. `mixes_out`,
    `mixes_in`: each pixel of the latents goes through one more matrix, behind the encoder and before the decoder."""

    channels: int
    latents: Latents
    widths: tuple[int, ...]
    blocks: int
    groups: int  # of the norms
    attention: bool = True
    mixes_out: bool = True
    mixes_in: bool = True

    @property
    def factor(self) -> int:
        """As of `TinyAutoencoder`."""
        return 2 ** (len(self.widths) - 1)


Autoencoder = TinyAutoencoder | KlAutoencoder
