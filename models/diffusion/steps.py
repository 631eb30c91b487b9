"""A sampler's steps as numbers. Whatever its method, the next picture is a weighted sum: of the picture so far, of what the model says, of
the clean picture that this means, of the clean picture of the step before, and of fresh noise. So pictures at different steps, even of
different samplers, are advanced together (models/diffusion/advance.py)."""

from dataclasses import dataclass
from math import inf

from models.spec.diffusion import Prediction

PAST = 3  # steps before, whose words a step may read


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The model is told `time` and reads `scale` * x. The rest are weights: with clean = `clean_x` * x + `clean_out` * out, clamped to
    -clip..clip, the next picture is `x` * x + `out` * out + `clean` * clean + `before` * (clean of the step before) + `noise` * noise."""

    time: float
    scale: float = 1.0
    clean_x: float
    clean_out: float
    clip: float = inf
    x: float
    out: float = 0.0
    clean: float
    before: float = 0.0
    noise: float = 0.0
    past: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of what the model said in steps before, the latest first
    remembers: bool = False  # what it says in this one is among those from now on
    # a picture as it stands before this step, where it is made of another one: signal * picture + level * noise
    signal: float
    level: float


@dataclass(frozen=True, slots=True)
class Schedule:
    steps: tuple[Step, ...]
    start: float  # times noise: what the first step begins with, where nothing else is given


def clean_weights(predicts: Prediction, signal: float, level: float) -> tuple[float, float]:
    """Weights of x and of what the model says in the clean picture, where x is signal * clean + level * noise and signal² + level² is 1."""
    match predicts:
        case "noise":
            return 1 / signal, -level / signal
        case "clean":
            return 0.0, 1.0
        case "velocity":  # Salimans & Ho 2022, arXiv 2202.00512
            return signal, -level


def noise_weights(predicts: Prediction, signal: float, level: float) -> tuple[float, float]:
    """The same of the noise in x."""
    match predicts:
        case "noise":
            return 0.0, 1.0
        case "clean":
            return 1 / level, -signal / level
        case "velocity":
            return level, signal
