"""What reads the texts of text to image, and how what several of them say is told to one denoiser."""

from models.spec.arch import Arch
from models.spec.value import spec


@spec
class TextEncoder:
    """`end`: of the tokens that are this one, the first one's row stands for the whole text, as `Arch.output` says; None: that of the
    largest number, which CLIP's end is. `context`: tokens that it reads; a `filled` text has as many, what is shorter being filled up, and
    all of them are looked at."""

    arch: Arch
    end: int | None = None
    context: int
    filled: bool = True


@spec
class LastRows:
    """Of one CLIP, the rows behind its last norm (Stable Diffusion 1 and 2: Rombach et al. 2021, arXiv 2112.10752)."""


@spec
class PairedRows:
    """Of two CLIPs, the rows before their last layers beside one another, the vector of the second, and how large the picture is (SDXL:
    Podell et al. 2023, arXiv 2307.01952, sections 2.1 and 2.2). `zeros`: where nothing is said of what a picture is not to show, all of
    that is zero but the size."""

    zeros: bool


@spec
class PairedRowsAndT5:
    """The same of two CLIPs, without sizes, and vectors of both beside one another; behind these rows, those of T5, of as many columns, or
    `absent` rows of zeros where it is left out (Stable Diffusion 3: Esser et al. 2024, arXiv 2403.03206, section 4)."""

    absent: int | None


@spec
class VectorAndT5:
    """Of CLIP the row of the whole text, and T5's rows (Flux, Black Forest Labs 2024)."""


@spec
class MaskedT5:
    """T5's rows, of which those that are there are looked at (PixArt: Chen et al. 2023, arXiv 2310.00426)."""


Joined = LastRows | PairedRows | PairedRowsAndT5 | VectorAndT5 | MaskedT5
