"""How much noise there is at each time of training, and which times a sampler visits. N: steps; all in float64."""

import math

import numpy as np
from numpy.typing import NDArray

from models.spec.diffusion import Betas, Spacing

Numbers = NDArray[np.float64]

RHO = 7  # of Karras et al. 2022, arXiv 2206.00364, equation 5


def signal_variances(betas: Betas) -> Numbers:
    """abar [times]: the share of a picture's variance that is signal. Computed in float32, as everybody does: near 1 its rounding is a
    good part of 1 - abar, and models know no other."""
    match betas.curve:
        case "linear":
            beta = np.linspace(betas.start, betas.end, betas.times)
        case "scaled_linear":
            beta = np.linspace(betas.start**0.5, betas.end**0.5, betas.times) ** 2
        case "cosine":
            kept = [math.cos((t / betas.times + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(betas.times + 1)]
            beta = np.minimum(1 - np.array(kept[1:]) / np.array(kept[:-1]), 0.999)
    abar = np.cumprod(np.float32(1) - beta.astype(np.float32), dtype=np.float32).astype(np.float64)
    return _without_signal_at_the_end(abar) if betas.zero_terminal else abar


def _without_signal_at_the_end(abar: Numbers) -> Numbers:
    """arXiv 2305.08891, algorithm 1."""
    root = np.sqrt(abar)
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def trained_sigmas(betas: Betas) -> Numbers:
    """[times]: noise over signal. Where there is no signal, nearly none is taken to be there."""
    abar = np.maximum(signal_variances(betas), 2.0**-24) if betas.zero_terminal else signal_variances(betas)
    return np.sqrt((1 - abar) / abar)


def whole_times(spacing: Spacing, times: int, steps: int) -> NDArray[np.int64]:
    """Falling, of samplers that know the trained times alone."""
    return visited(spacing, times, steps).round().astype(np.int64)


def visited(spacing: Spacing, times: int, steps: int) -> Numbers:
    """Falling; linspace's may lie between the trained ones."""
    match spacing.kind:
        case "leading":
            return (np.arange(steps)[::-1] * (times // steps) + spacing.offset).astype(np.float64)
        case "trailing":
            return np.arange(times, 0, -times / steps, dtype=np.float64).round() - 1
        case "linspace":
            return np.linspace(0, times - 1, steps)[::-1]


def karras_sigmas(largest: float, smallest: float, steps: int) -> Numbers:
    return (largest ** (1 / RHO) + np.linspace(0, 1, steps) * (smallest ** (1 / RHO) - largest ** (1 / RHO))) ** RHO


def time_of(sigma_N: Numbers, trained: Numbers) -> Numbers:
    """Between the trained ones, by the logarithms of their sigmas."""
    return np.interp(np.log(sigma_N), np.log(trained), np.arange(len(trained)))
