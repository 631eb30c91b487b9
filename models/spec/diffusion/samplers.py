"""How noise becomes a picture in a few steps: what a model was trained on (how much noise a picture has at each time), and the way back."""

from typing import Literal

from models.spec.value import spec

Prediction = Literal["noise", "clean", "velocity"]


@spec
class Betas:
    """Variances of the noise that each of `times` steps of training adds to a picture: at time t its signal is weighted by the square root
    of abar_t, the product of 1 - beta up to t, and noise by that of 1 - abar_t (Ho et al. 2020, arXiv 2006.11239). linear: from `start` to
    `end`; scaled_linear: their square roots are (Rombach et al. 2021, arXiv 2112.10752); cosine: abar falls as a squared cosine does
    (Nichol & Dhariwal 2021, arXiv 2102.09672). `zero_terminal`: rescaled so that the last time has no signal (Lin et al. 2023, arXiv
    2305.08891)."""

    times: int = 1000
    start: float = 0.0001
    end: float = 0.02
    curve: Literal["linear", "scaled_linear", "cosine"] = "linear"
    zero_terminal: bool = False


@spec
class Spacing:
    """Which times are visited (arXiv 2305.08891, table 2): counted from the first one, `offset` later; from the last one; or both."""

    kind: Literal["leading", "trailing", "linspace"] = "leading"
    offset: int = 0  # of leading


@spec
class Ddpm:
    """The posterior of the process itself (arXiv 2006.11239, algorithm 2). small: its own variance; large: beta's."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing()
    predicts: Prediction = "noise"
    clip: float | None = 1.0  # the clean picture is clamped to -clip..clip
    variance: Literal["small", "large"] = "small"


@spec
class Ddim:
    """The same without noise on the way (Song et al. 2020, arXiv 2010.02502). The last step ends without noise, or with that of time 0."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing()
    predicts: Prediction = "noise"
    clip: float | None = 1.0
    last: Literal["zero", "first"] = "zero"


@spec
class Euler:
    """Euler's method where a picture is signal + sigma * noise (Karras et al. 2022, arXiv 2206.00364). `karras`: sigmas are those of its
    equation 5. The last step goes to sigma 0, or to the smallest that was trained."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing(kind="linspace")
    predicts: Prediction = "noise"
    karras: bool = False
    last: Literal["zero", "smallest"] = "zero"


@spec
class EulerAncestral:
    """Euler's method a little further than each next sigma, and noise back to it (Crowson's k-diffusion, `sample_euler_ancestral`)."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing(kind="linspace")
    predicts: Literal["noise", "velocity"] = "noise"


@spec
class DpmSolver:
    """DPM-Solver++, multistep, of order 1 or 2 (Lu et al. 2022, arXiv 2211.01095, algorithm 2)."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing(kind="linspace")
    predicts: Prediction = "noise"
    order: Literal[1, 2] = 2
    karras: bool = False
    last: Literal["zero", "smallest"] = "zero"
    final: Literal["same", "first_of_few", "first"] = (
        "first_of_few"  # order of the last step: first_of_few: 1 where there are fewer than 15
    )


@spec
class Plms:
    """A linear multistep method of order 4, begun with lower ones (Liu et al. 2022, arXiv 2202.09778; Stable Diffusion 1's own). It visits
    one time twice, and so takes one step more than it is asked for. The last step ends without noise, or with that of time 0."""

    betas: Betas = Betas()
    spacing: Spacing = Spacing()
    predicts: Literal["noise", "velocity"] = "noise"
    last: Literal["zero", "first"] = "first"


@spec
class DynamicShift:
    """A shift that grows with the picture: between `small` for `few` patches and `large` for `many` of them, mu lies on a line, and the
    shift is e^mu, or mu itself (Flux's own code)."""

    small: float = 0.5
    large: float = 1.15
    few: int = 256
    many: int = 4096
    exponential: bool = True


@spec
class FlowMatching:
    """A picture is (1 - sigma) * signal + sigma * noise, and the model says the velocity noise - signal (Lipman et al. 2022, arXiv
    2210.02747). Sigmas are moved to shift * sigma / (1 + (shift - 1) * sigma) (Esser et al. 2024, arXiv 2403.03206, equation 23); before
    that they lie evenly from 1 to the smallest that was trained, or, of N steps, to 1 / N."""

    times: int = 1000
    shift: float | DynamicShift = 1.0
    last: Literal["smallest", "even"] = "smallest"


Sampler = Ddpm | Ddim | Euler | EulerAncestral | DpmSolver | Plms | FlowMatching
